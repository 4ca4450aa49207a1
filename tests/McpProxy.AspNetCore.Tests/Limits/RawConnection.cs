using System.Net.Sockets;
using System.Text;

namespace McpProxy.AspNetCore.Tests.Limits;

/// <summary>A client that writes whatever it likes.</summary>
internal sealed class RawConnection : IDisposable
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(20);

    private readonly TcpClient _tcp = new();
    private readonly NetworkStream _stream;

    public RawConnection(Uri server)
    {
        _tcp.Connect(server.Host, server.Port);
        _stream = _tcp.GetStream();
    }

    public async Task WriteAsync(ReadOnlyMemory<byte> bytes) => await _stream.WriteAsync(bytes).AsTask().WaitAsync(s_timeout);

    public Task WriteAsync(string text) => WriteAsync(Encoding.Latin1.GetBytes(text));

    /// <summary>Says that nothing more comes.</summary>
    public void EndWriting() => _tcp.Client.Shutdown(SocketShutdown.Send);

    /// <summary>Something that the server says: it has taken up the connection.</summary>
    public async Task<string> ReadSomeAsync()
    {
        var buffer = new byte[4096];
        return Encoding.UTF8.GetString(buffer, 0, await _stream.ReadAsync(buffer).AsTask().WaitAsync(s_timeout));
    }

    /// <summary>Everything that the server says until it closes the connection.</summary>
    public async Task<string> ReadToEndAsync()
    {
        var text = new MemoryStream();
        try
        {
            await _stream.CopyToAsync(text).WaitAsync(s_timeout);
        }
        catch (IOException)
        {
            // Reset: that is an end, too.
        }

        return Encoding.UTF8.GetString(text.ToArray());
    }

    public void Dispose() => _tcp.Dispose();
}
