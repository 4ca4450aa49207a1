using BenchmarkDotNet.Attributes;
using McpProxy.AspNetCore.Responses;
using Microsoft.AspNetCore.Http;

namespace McpProxy.Benchmarks.Stages;

/// <summary>The server half: one message on an open event stream, and one as the JSON answer of a request.</summary>
public class SseWrite : StageBenchmark
{
    private byte[] _message = [];
    private DefaultHttpContext _context = null!;
    private EventStream _stream = null!;

    /// <inheritdoc/>
    public override void SetUp()
    {
        _message = SampleMessage.Response(Size);
        _context = new();
        _stream = new(_context, TimeProvider.System, continuesInline: false);
    }

    [Benchmark]
    public Task Event() => _stream.SendAsync(_message, new EventId(1, 1));

    [Benchmark]
    public async Task Json()
    {
        var context = new DefaultHttpContext();
        await using var stream = new EventStream(context, TimeProvider.System, continuesInline: false) { AcceptsJson = true };
        await stream.TryAnswerJsonAsync(_message, 200);
    }
}
