using BenchmarkDotNet.Attributes;
using McpProxy.Eras;
using McpProxy.Eras.LegacyClient;
using McpProxy.Eras.ModernClient;
using McpProxy.JsonRpc;

namespace McpProxy.Benchmarks.Stages;

/// <summary>A call and its result on their way between client and server of different eras, in both directions.</summary>
public class EraTranslation : StageBenchmark
{
    private static readonly byte[] s_serverInfo = """{"name":"server","version":"1.0.0"}"""u8.ToArray();

    private readonly JsonRpcId _id = JsonRpcId.FromNumber(987654);
    private ModernRequest _identity = null!;
    private JsonRpcMessage _legacyRequest;
    private JsonRpcMessage _modernRequest;
    private JsonRpcMessage _legacyResult;
    private JsonRpcMessage _modernResult;

    /// <inheritdoc/>
    public override void SetUp()
    {
        var initialize = SampleMessage.Parse(
            """{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}},"clientInfo":{"name":"client","version":"1.0.0"}}}"""u8.ToArray());
        _identity = ModernRequest.Of(initialize, Revision.Modern);
        _legacyRequest = SampleMessage.Parse(SampleMessage.Request(Size));
        _legacyResult = SampleMessage.Parse(SampleMessage.Response(Size));
        _modernRequest = _identity.From(_legacyRequest, default);
        _modernResult = ModernResult.From(_legacyResult, _id, "tools/call", s_serverInfo);
    }

    [Benchmark]
    public long RequestToModern() => _identity.From(_legacyRequest, default).Utf8.Length;

    [Benchmark]
    public long RequestToLegacy() => LegacyRequest.From(_modernRequest, _id).Utf8.Length;

    [Benchmark]
    public long ResultToModern() => ModernResult.From(_legacyResult, _id, "tools/call", s_serverInfo).Utf8.Length;

    [Benchmark]
    public long ResultToLegacy() => LegacyResult.IsInputRequired(_modernResult) ? 0 : LegacyResult.From(_modernResult, _id).Utf8.Length;
}
