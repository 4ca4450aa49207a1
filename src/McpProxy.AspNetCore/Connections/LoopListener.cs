using System.Buffers;
using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using McpProxy.Transports.Polling;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace McpProxy.AspNetCore.Connections;

/// <summary>One address that is listened on.</summary>
[SupportedOSPlatform("linux")]
internal sealed partial class LoopListener : IConnectionListener
{
    private static readonly TimeSpan s_shortagePause = TimeSpan.FromMilliseconds(100);

    private readonly DescriptorStream _stream;
    private readonly Lock _accepting = new();
    private readonly EventLoops _loops;
    private readonly LoopTransportOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly MemoryPool<byte> _memory;
    private readonly CancellationTokenSource _unbound = new();
    private readonly IPEndPoint? _onlyAddress;
    private long _lastNumber;
    private bool _isUnbound;
    private bool _isShort;
    private int _disposed;

    public LoopListener(Socket socket, EventLoops loops, LoopTransportOptions options, TimeProvider time, ILogger logger)
    {
        _loops = loops;
        _options = options;
        _time = time;
        _logger = logger;
        EndPoint = socket.LocalEndPoint!;

        // Whoever listens on one address need not be asked which one a connection came in on.
        _onlyAddress = EndPoint is IPEndPoint ip && !ip.Address.Equals(IPAddress.Any) && !ip.Address.Equals(IPAddress.IPv6Any) ? ip : null;
        _stream = new(loops.Next(), socket);
        _memory = options.Memory();
    }

    public EndPoint EndPoint { get; }

    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
    {
        while (!_unbound.IsCancellationRequested)
        {
            try
            {
                if (TryAccept(out var error) is { } connection)
                {
                    _isShort = false;
                    return connection;
                }

                if (error is SocketCalls.TooManyInProcess or SocketCalls.TooManyInSystem or SocketCalls.NoBuffers or SocketCalls.NoMemory)
                {
                    // Who waits goes on waiting: no event says that there is room again.
                    LogShortageOnce(error);
                    using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _unbound.Token);
                    await Task.Delay(s_shortagePause, _time, stop.Token);
                }
                else if (error == Libc.WouldBlock)
                {
                    await _stream.WaitToReadAsync(cancellationToken);
                }

                // Else it was one that its client has given up, or was broken off: the next one may be whole.
            }
            catch (Exception e) when (e is ObjectDisposedException or OperationCanceledException && _unbound.IsCancellationRequested)
            {
                break;
            }
        }

        return null;
    }

    public async ValueTask UnbindAsync(CancellationToken cancellationToken = default)
    {
        lock (_accepting)
        {
            _isUnbound = true;
        }

        await _unbound.CancelAsync();
        await _stream.DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            await UnbindAsync();
            _memory.Dispose();
            _unbound.Dispose();
        }
    }

    private LoopConnection? TryAccept(out int error)
    {
        int descriptor;
        IPEndPoint? peer;
        lock (_accepting)
        {
            // It must not be closed, and its number become another's, in the middle of the call.
            ObjectDisposedException.ThrowIf(_isUnbound, this);
            descriptor = SocketCalls.Accept(_stream.Descriptor, out peer, out error);
        }

        if (descriptor < 0)
        {
            return null;
        }

        var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        try
        {
            return new(_loops.Next(), handle, ++_lastNumber, _onlyAddress ?? SocketCalls.LocalEndPoint(descriptor), peer, _memory, _options, _logger);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    private void LogShortageOnce(int error)
    {
        if (!_isShort)
        {
            _isShort = true;
            LogShortage(System.Runtime.InteropServices.Marshal.GetPInvokeErrorMessage(error));
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Connections wait to be accepted: {Reason}")]
    private partial void LogShortage(string reason);
}
