using System.Runtime.InteropServices;
using McpProxy.JsonRpc;

namespace McpProxy.Relay;

/// <summary>What came of a question of the proxy's own.</summary>
/// <param name="Message">The server's answer, which may be an error; null when none came.</param>
/// <param name="Problem">Why none came.</param>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct UpstreamAnswer(JsonRpcMessage? Message, string Problem);
