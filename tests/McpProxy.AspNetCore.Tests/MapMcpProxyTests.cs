using McpProxy.Tests;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests;

/// <summary>An application that offers an MCP server beside its own endpoints.</summary>
public sealed class MapMcpProxyTests
{
    [Fact]
    public async Task A_server_is_offered_by_an_application_and_ends_with_it()
    {
        var upstream = new FakeUpstream(() => new FakePeer { Answer = _ => Http.InitializeResult });
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(System.Net.IPAddress.Loopback, 0));
        builder.Services.AddMcpProxy();
        await using var app = builder.Build();
        app.UseRouting();
        app.MapMcpProxy("/tools", _ => upstream, options => options.SsePath = null);
        app.MapGet("/", () => "the application's own");
        app.UseEndpoints(_ => { });
        await app.StartAsync(TestContext.Current.CancellationToken);
        using var client = new HttpClient { BaseAddress = new Uri(app.Urls.First()) };
        (await client.GetStringAsync("/", TestContext.Current.CancellationToken)).ShouldBe("the application's own");
        (await (await client.PostAsync("/tools", Http.Initialize)).TextAsync()).ShouldBe(Http.InitializeResult);
        var peer = await upstream.NextAsync();
        await app.StopAsync(TestContext.Current.CancellationToken);
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!peer.IsDisposed)
        {
            timeout.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }
}
