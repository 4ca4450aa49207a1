using BenchmarkDotNet.Attributes;
using McpProxy.JsonRpc;

namespace McpProxy.Benchmarks.Stages;

/// <summary>Giving a message another id, as a shared upstream does on both ways.</summary>
public class Splice : StageBenchmark
{
    private JsonRpcMessage _request;
    private JsonRpcId _id;

    /// <inheritdoc/>
    public override void SetUp()
    {
        _request = SampleMessage.Parse(SampleMessage.Request(Size));
        _id = JsonRpcId.FromJson("987654"u8.ToArray());
    }

    [Benchmark]
    public long WithId() => JsonSplice.WithId(_request, _id).Utf8.Length;
}
