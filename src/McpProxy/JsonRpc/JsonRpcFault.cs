using System.Runtime.InteropServices;

namespace McpProxy.JsonRpc;

/// <summary>Input that is not a JSON-RPC message, and the error that its sender is owed.</summary>
/// <param name="Code">A JSON-RPC error code: see <see cref="JsonRpcErrorCode"/>.</param>
/// <param name="Message">What is wrong, for the sender to read.</param>
/// <param name="Id">The id that could be read from it, if any.</param>
/// <param name="IsResponse">True when it was meant as a response: somebody on the other side waits for <paramref name="Id"/>.</param>
[StructLayout(LayoutKind.Auto)]
public readonly record struct JsonRpcFault(int Code, string Message, JsonRpcId Id, bool IsResponse = false);
