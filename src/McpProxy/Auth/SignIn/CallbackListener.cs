using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging;

namespace McpProxy.Auth.SignIn;

/// <summary>
/// Waits on this machine for the browser to come back (RFC 8252 section 7.3). Answers nothing but that one path, and only
/// requests that name this machine as their host.
/// </summary>
internal sealed partial class CallbackListener : IAsyncDisposable
{
    private const int MaxHead = 32 * 1024;
    private const int MaxConnections = 32;
    private static readonly TimeSpan s_readTimeout = TimeSpan.FromSeconds(10);

    private readonly List<Socket> _sockets;
    private readonly RedirectAddress _address;
    private readonly Func<string, CancellationToken, Task<byte[]>> _answer;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _closing = new();
    private readonly SemaphoreSlim _connections = new(MaxConnections, MaxConnections);
    private readonly Task _accepting;

    private CallbackListener(List<Socket> sockets, RedirectAddress address, Func<string, CancellationToken, Task<byte[]>> answer, ILogger logger)
    {
        _sockets = sockets;
        _address = address;
        _answer = answer;
        _logger = logger;
        _accepting = Task.WhenAll(sockets.Select(AcceptAsync));
    }

    /// <summary>Begins to listen.</summary>
    /// <param name="address">Where.</param>
    /// <param name="answer">Takes the query of a request, and gives the whole HTTP response.</param>
    /// <param name="logger">Where logs go.</param>
    /// <returns>Null when the port is in use.</returns>
    public static CallbackListener? TryStart(RedirectAddress address, Func<string, CancellationToken, Task<byte[]>> answer, ILogger logger)
    {
        var sockets = TryBind(address);
        return sockets is null ? null : new(sockets, address, answer, logger);
    }

    /// <summary>A port that is free now on all addresses that are listened on.</summary>
    public static int FindFreePort(RedirectAddress address)
    {
        const int Attempts = 20;
        for (var attempt = 0; attempt < Attempts; attempt++)
        {
            int port;
            using (var probe = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp))
            {
                probe.Bind(new IPEndPoint(IPAddress.Loopback, 0));
                port = ((IPEndPoint)probe.LocalEndPoint!).Port;
            }

            if (TryBind(address with { Port = port }) is { } sockets)
            {
                sockets.ForEach(socket => socket.Dispose());
                return port;
            }
        }

        throw new OAuthException(OAuthFailure.Temporary, "no free port was found for the browser to come back to");
    }

    /// <summary>Takes no more requests; those that came are answered.</summary>
    public void StopListening() => _sockets.ForEach(socket => socket.Dispose());

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        StopListening();
        await _accepting;

        // The last page may still be on its way.
        for (var i = 0; i < MaxConnections; i++)
        {
            await _connections.WaitAsync();
        }

        _connections.Dispose();
        _closing.Dispose();
    }

    private static List<Socket>? TryBind(RedirectAddress address)
    {
        var sockets = new List<Socket>();
        foreach (var ip in address.ListenAddresses)
        {
            Socket? socket = null;
            try
            {
                socket = new Socket(ip.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
                if (OperatingSystem.IsWindows())
                {
                    // Else another program could listen on the same port and take the answer.
                    socket.ExclusiveAddressUse = true;
                }

                socket.Bind(new IPEndPoint(ip, address.Port));
                socket.Listen(MaxConnections);
                sockets.Add(socket);
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.AddressFamilyNotSupported or SocketError.AddressNotAvailable && sockets.Count > 0)
            {
                // A machine without IPv6 has one loopback address only.
                socket?.Dispose();
            }
            catch (SocketException)
            {
                socket?.Dispose();
                sockets.ForEach(bound => bound.Dispose());
                return null;
            }
        }

        return sockets;
    }

    private async Task AcceptAsync(Socket socket)
    {
        while (!_closing.IsCancellationRequested)
        {
            Socket connection;
            try
            {
                await _connections.WaitAsync(_closing.Token);
            }
            catch (OperationCanceledException)
            {
                return;
            }

            try
            {
                connection = await socket.AcceptAsync(_closing.Token);
            }
            catch (Exception e) when (e is SocketException or OperationCanceledException or ObjectDisposedException)
            {
                _connections.Release();
                if (e is not SocketException || _closing.IsCancellationRequested || socket.SafeHandle.IsClosed)
                {
                    return;
                }

                continue;
            }

            _ = ServeAsync(connection);
        }
    }

    private async Task ServeAsync(Socket connection)
    {
        try
        {
            await using var stream = new NetworkStream(connection, ownsSocket: true);
            using var timeout = new CancellationTokenSource(s_readTimeout);
            using var reading = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, _closing.Token);
            var head = await ReadHeadAsync(stream, reading.Token);
            var response = head is null
                ? CallbackPage.Response(400, "This is no request", "The proxy did not understand the request.", isGood: false)
                : await RespondAsync(head);
            using var writing = new CancellationTokenSource(s_readTimeout);
            await stream.WriteAsync(response, writing.Token);
            connection.Shutdown(SocketShutdown.Send);

            // Until the browser has read the page: closing earlier could take it away again.
            using var rest = new CancellationTokenSource(TimeSpan.FromSeconds(1));
            while (await stream.ReadAsync(new byte[1024], rest.Token) > 0)
            {
            }
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or ObjectDisposedException)
        {
            LogBroke(e.Message);
        }
        finally
        {
            _connections.Release();
        }
    }

    private static async Task<string?> ReadHeadAsync(NetworkStream stream, CancellationToken cancellationToken)
    {
        var buffer = new byte[MaxHead];
        var length = 0;
        while (length < buffer.Length)
        {
            var read = await stream.ReadAsync(buffer.AsMemory(length), cancellationToken);
            if (read == 0)
            {
                return null;
            }

            length += read;
            if (buffer.AsSpan(0, length).IndexOf("\r\n\r\n"u8) is >= 0 and var end)
            {
                return Encoding.Latin1.GetString(buffer, 0, end);
            }
        }

        return null;
    }

    private async Task<byte[]> RespondAsync(string head)
    {
        var lines = head.Split("\r\n");
        var words = lines[0].Split(' ');
        var host = lines.Skip(1).FirstOrDefault(line => line.StartsWith("Host:", StringComparison.OrdinalIgnoreCase))?[5..].Trim() ?? "";
        if (words.Length != 3 || words[0] != "GET")
        {
            return CallbackPage.Response(405, "Not this way", "The browser has to come here with a GET request.", isGood: false);
        }

        if (!_address.IsHost(host))
        {
            // A page elsewhere whose name was made to point at this machine.
            return CallbackPage.Response(403, "Not this host", "The request is for another host.", isGood: false);
        }

        var question = words[1].IndexOf('?', StringComparison.Ordinal);
        var path = question < 0 ? words[1] : words[1][..question];
        return path == _address.Path
            ? await _answer(question < 0 ? "" : words[1][(question + 1)..], _closing.Token)
            : CallbackPage.Response(404, "Nothing is here", "This is the place where sign-ins of mcp-proxy end.", isGood: false);
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "A connection to the sign-in's listener broke: {Reason}")]
    private partial void LogBroke(string reason);
}
