using System.Text;
using McpProxy.JsonRpc;

namespace McpProxy.Benchmarks;

/// <summary>Messages of a given size, as clients and servers send them.</summary>
internal static class SampleMessage
{
    private const string Escapes = "line one\\nline two \\\"quoted\\\" ";

    /// <summary>A tool call.</summary>
    public static byte[] Request(int size) => Filled("""{"jsonrpc":"2.0","id":12345,"method":"tools/call","params":{"name":"echo","arguments":{"text":"%"}}}""", size, Escapes);

    /// <summary>A tool call whose text has no escapes.</summary>
    public static byte[] PlainRequest(int size) => Filled("""{"jsonrpc":"2.0","id":12345,"method":"tools/call","params":{"name":"echo","arguments":{"text":"%"}}}""", size, "");

    /// <summary>Its result: text with an escape now and then, as results have.</summary>
    public static byte[] Response(int size) => Filled("""{"jsonrpc":"2.0","id":12345,"result":{"content":[{"type":"text","text":"%"}]}}""", size, Escapes);

    public static JsonRpcMessage Parse(ReadOnlyMemory<byte> utf8) =>
        JsonRpcMessage.TryParse(utf8, out var message, out var fault) ? message : throw new InvalidOperationException(fault.Message);

    private static byte[] Filled(string template, int size, string escapes)
    {
        var missing = Math.Max(0, size - template.Length + 1);
        var text = new StringBuilder(missing + escapes.Length);
        while (text.Length + 200 < missing)
        {
            text.Append('x', 200 - escapes.Length).Append(escapes);
        }

        text.Append('x', missing - text.Length);
        return Encoding.UTF8.GetBytes(template.Replace("%", text.ToString(), StringComparison.Ordinal));
    }
}
