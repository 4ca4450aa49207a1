using System.Net.Sockets;
using System.Text;

namespace McpProxy.AspNetCore.Tests.Upstreams;

/// <summary>Says what no HTTP library would: the same header twice, on two lines.</summary>
internal sealed class RawClient(Uri server) : IDisposable
{
    private readonly TcpClient _client = new(server.Host, server.Port);

    public async Task<string> PostAsync(string path, string body, IEnumerable<(string Name, string Value)> headers)
    {
        var text = new StringBuilder($"POST {path} HTTP/1.1\r\nHost: {server.Authority}\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\nConnection: close\r\n");
        foreach (var (name, value) in headers)
        {
            text.Append(name).Append(": ").Append(value).Append("\r\n");
        }

        text.Append("Content-Length: ").Append(Encoding.UTF8.GetByteCount(body)).Append("\r\n\r\n").Append(body);
        var stream = _client.GetStream();
        await stream.WriteAsync(Encoding.UTF8.GetBytes(text.ToString()));
        using var reader = new StreamReader(stream);
        return await reader.ReadToEndAsync();
    }

    public void Dispose() => _client.Dispose();
}
