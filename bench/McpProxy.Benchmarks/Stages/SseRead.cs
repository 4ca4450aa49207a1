using BenchmarkDotNet.Attributes;
using McpProxy.Transports.Http;

namespace McpProxy.Benchmarks.Stages;

/// <summary>The client half: one response that is an event stream with one message.</summary>
public class SseRead : StageBenchmark
{
    private UpstreamHttpClient _http = null!;
    private byte[] _body = [];

    /// <inheritdoc/>
    public override void SetUp()
    {
        var options = new HttpUpstreamOptions { Url = new("http://127.0.0.1/mcp") };
        _http = new(options, UpstreamHttpClient.CreateInvoker(options, TimeProvider.System), TimeProvider.System);
        _body = [.. "event: message\nid: 1-1\ndata: "u8, .. SampleMessage.Response(Size), .. "\n\n"u8];
    }

    [Benchmark]
    public async Task Read()
    {
        using var response = new HttpResponseMessage { Content = new ByteArrayContent(_body) };
        await foreach (var (_, data) in new ServerSentEvents(_http, response).ReadAsync(CancellationToken.None))
        {
            SampleMessage.Parse(data);
        }
    }
}
