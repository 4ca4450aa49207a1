using BenchmarkDotNet.Attributes;
using McpProxy.JsonRpc;

namespace McpProxy.Benchmarks.Stages;

/// <summary>Finding kind, id and method, and checking that the whole is JSON and UTF-8.</summary>
public class EnvelopeScan : StageBenchmark
{
    private byte[] _request = [];
    private byte[] _response = [];
    private byte[] _plain = [];

    /// <inheritdoc/>
    public override void SetUp() => (_request, _response, _plain) = (SampleMessage.Request(Size), SampleMessage.Response(Size), SampleMessage.PlainRequest(Size));

    [Benchmark]
    public long Request() => JsonRpcMessage.TryParse(_request, out var message, out _) ? message.Method.Length : throw new InvalidOperationException();

    [Benchmark]
    public long PlainRequest() => JsonRpcMessage.TryParse(_plain, out var message, out _) ? message.Method.Length : throw new InvalidOperationException();

    [Benchmark]
    public long Response() => JsonRpcMessage.TryParse(_response, out var message, out _) ? message.Result.Length : throw new InvalidOperationException();
}
