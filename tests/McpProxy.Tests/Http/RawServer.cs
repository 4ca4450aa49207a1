using System.Net;
using System.Net.Sockets;
using System.Text;

namespace McpProxy.Tests.Http;

/// <summary>A server that says, byte for byte, what the test tells it to.</summary>
internal sealed class RawServer : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Func<RawPeer, int, Task> _script;
    private readonly Task _accepting;
    private readonly List<Task> _talks = [];

    /// <param name="script">What is done with each connection, which has a number from 0.</param>
    public RawServer(Func<RawPeer, int, Task> script)
    {
        _script = script;
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public Uri Url => new($"http://{_listener.LocalEndpoint}/mcp");

    /// <summary>How many connections there have been.</summary>
    public int Connections { get; private set; }

    /// <summary>Answers every request on every connection with the same bytes.</summary>
    public static RawServer Saying(string response) => new(async (peer, _) =>
    {
        while (await peer.TryReadRequestAsync() is not null)
        {
            await peer.SayAsync(response);
        }
    });

    /// <summary>Answers one request a connection, and closes it.</summary>
    public static RawServer SayingOnce(string response) => new(async (peer, _) =>
    {
        await peer.TryReadRequestAsync();
        await peer.SayAsync(response);
    });

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Dispose();
        await _accepting;
        await Task.WhenAll(_talks).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var socket = await _listener.AcceptSocketAsync(_stop.Token);
                socket.NoDelay = true;
                _talks.Add(TalkAsync(socket, Connections++));
            }
        }
        catch (Exception e) when (_stop.IsCancellationRequested && e is OperationCanceledException or InvalidOperationException or ObjectDisposedException or SocketException)
        {
            // The test is over.
        }
    }

    private async Task TalkAsync(Socket socket, int number)
    {
        using (socket)
        {
            await _script(new(socket, _stop.Token), number);
        }
    }

    /// <summary>The server's end of one connection.</summary>
    internal sealed class RawPeer(Socket socket, CancellationToken stop)
    {
        private readonly List<byte> _received = [];

        /// <summary>Reads a request with a Content-Length or none.</summary>
        /// <returns>Its head and body; null when there is no more.</returns>
        public async Task<string?> TryReadRequestAsync()
        {
            while (true)
            {
                var text = Encoding.Latin1.GetString([.. _received]);
                var end = text.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4;
                if (end >= 4)
                {
                    var length = text[..end].Split("\r\n").FirstOrDefault(line => line.StartsWith("Content-Length: ", StringComparison.Ordinal)) is { } header
                        ? int.Parse(header.AsSpan(16), System.Globalization.CultureInfo.InvariantCulture)
                        : 0;
                    if (text.Length >= end + length)
                    {
                        _received.RemoveRange(0, end + length);
                        return text[..(end + length)];
                    }
                }

                if (!await ReceiveAsync())
                {
                    return null;
                }
            }
        }

        public async Task SayAsync(string text) => await socket.SendAsync(Encoding.Latin1.GetBytes(text), stop);

        /// <summary>Says it byte by byte.</summary>
        public async Task DribbleAsync(string text)
        {
            foreach (var character in text)
            {
                await socket.SendAsync(new[] { (byte)character }, stop);
                await Task.Yield();
            }
        }

        /// <summary>Waits until the other end has closed the connection.</summary>
        public async Task<bool> IsClosedAsync()
        {
            while (await ReceiveAsync())
            {
                _received.Clear();
            }

            return true;
        }

        /// <summary>Waits for at least so much of a request.</summary>
        public async Task ReceiveAsync(int count)
        {
            while (_received.Count < count && await ReceiveAsync())
            {
                // Until it is here.
            }
        }

        /// <summary>Closes the connection, whose end the other end has got when this returns.</summary>
        public void Close() => socket.Close();

        /// <summary>Closes the connection so that the other end is told of an error.</summary>
        public void Reset()
        {
            socket.LingerState = new(true, 0);
            socket.Close();
        }

        private async Task<bool> ReceiveAsync()
        {
            var buffer = new byte[64 * 1024];
            try
            {
                var count = await socket.ReceiveAsync(buffer, stop);
                _received.AddRange(buffer.AsSpan(0, count));
                return count > 0;
            }
            catch (SocketException)
            {
                return false;
            }
        }
    }
}
