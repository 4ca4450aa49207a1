using McpProxy.EndToEnd.Tests.Programs;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace McpProxy.EndToEnd.Tests.OAuth.Servers;

/// <summary>An HTTP server on a port of its own, which keeps what it was asked.</summary>
public abstract class LoopbackHost : IAsyncDisposable
{
    private readonly CancellationTokenSource _stopping = new();
    private WebApplication? _app;

    /// <summary>Scheme, host and port, without a slash at the end.</summary>
    public string Origin { get; private set; } = "";

    /// <summary>Requests as they came in.</summary>
    public EventLog<SeenRequest> Requests { get; } = new();

    /// <summary>Requests as their answers began.</summary>
    public EventLog<SeenRequest> Answers { get; } = new();

    /// <summary>The same for a person to read.</summary>
    public OutputLog Text { get; } = new();

    /// <summary>Ends with the server.</summary>
    protected CancellationToken Stopping => _stopping.Token;

    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        await _stopping.CancelAsync();
        await LeaveAsync();
        _stopping.Dispose();
    }

    /// <summary>Stops to listen: whoever comes now is refused the connection.</summary>
    public async Task LeaveAsync()
    {
        if (_app is { } app)
        {
            _app = null;
            await app.DisposeAsync();
        }
    }

    /// <summary>Listens again, at the same address as before.</summary>
    public Task ComeBackAsync() => ListenAsync(Origin);

    protected async Task StartAsync()
    {
        await ListenAsync("http://127.0.0.1:0");
        Origin = _app!.Urls.Single();
    }

    protected abstract Task HandleAsync(HttpContext context, SeenRequest request);

    private async Task ListenAsync(string address)
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().UseUrls(address);
        builder.Services.AddRoutingCore();

        // Open streams must not keep a test that is over.
        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = TimeSpan.FromMilliseconds(100));
        _app = builder.Build();
        _app.Run(ReceiveAsync);
        await _app.StartAsync(TestContext.Current.CancellationToken);
    }

    private async Task ReceiveAsync(HttpContext context)
    {
        var request = await SeenRequest.ReadAsync(context);
        context.Response.OnStarting(() =>
        {
            request.Status = context.Response.StatusCode;
            Text.Add($"{request.Status} to {request}");
            Answers.Add(request);
            return Task.CompletedTask;
        });
        Text.Add($"    {request}");
        Requests.Add(request);
        try
        {
            await HandleAsync(context, request);
        }
        catch (OperationCanceledException)
        {
            // The other side hung up, or the test is over.
        }
    }
}
