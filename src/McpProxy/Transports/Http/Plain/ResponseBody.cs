using System.Net.Sockets;
using System.Runtime.CompilerServices;

namespace McpProxy.Transports.Http.Plain;

/// <summary>The body of a response, as it comes from the connection, which is free for the next exchange at the end of it.</summary>
internal sealed class ResponseBody(PlainConnection connection, BodyFraming framing, long length) : Stream
{
    private ChunkReader _chunks;
    private long _left = length;
    private bool _isOver;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    /// <exception cref="IOException">The body broke off, or breaks the rules.</exception>
    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_isOver || buffer.Length == 0)
        {
            return new(0);
        }

        return framing == BodyFraming.Length && connection.Buffered.Length > 0 ? new(Counted(connection.Take(Room(buffer).Span))) : ReadSlowlyAsync(buffer, cancellationToken);
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Flush() => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing && !_isOver)
        {
            _isOver = true;
            if (IsRestHere())
            {
                connection.Finish();
            }
            else
            {
                connection.Dispose();
            }
        }

        base.Dispose(disposing);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<int> ReadSlowlyAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        try
        {
            if (framing == BodyFraming.Chunked && !await ReachDataAsync(cancellationToken))
            {
                return 0;
            }

            var room = Room(buffer);
            return Counted(connection.Buffered.Length > 0 ? connection.Take(room.Span) : await connection.ReceiveAsync(room, cancellationToken));
        }
        catch (Exception e)
        {
            _isOver = true;
            connection.Dispose();
            if (e is ObjectDisposedException || e.InnerException is SocketException)
            {
                // What the system said, without how it was said here.
                throw new IOException((e.InnerException ?? e).Message, e);
            }

            throw;
        }
    }

    /// <summary>Reads what frames the chunks until there is data.</summary>
    /// <returns>False at the end of the body.</returns>
    private async ValueTask<bool> ReachDataAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            connection.Skip(_chunks.Read(connection.Buffered));
            if (_chunks.IsAtEnd)
            {
                _isOver = true;
                connection.Finish();
                return false;
            }

            if (_chunks.Left > 0)
            {
                return true;
            }

            await connection.RefillAsync(cancellationToken);
        }
    }

    /// <summary>As much of a buffer as may be filled: what follows belongs to the framing or to the next response.</summary>
    private Memory<byte> Room(Memory<byte> buffer)
    {
        var most = framing switch
        {
            BodyFraming.Length => _left,
            BodyFraming.Chunked => _chunks.Left,
            _ => long.MaxValue,
        };
        return buffer.Length > most ? buffer[..(int)most] : buffer;
    }

    private int Counted(int count)
    {
        if (count == 0 && framing != BodyFraming.UntilClose)
        {
            throw PlainConnection.Ended();
        }

        if (framing == BodyFraming.Chunked)
        {
            _chunks.Take(count);
            return count;
        }

        _left -= count;
        if (count == 0 || (framing == BodyFraming.Length && _left == 0))
        {
            _isOver = true;
            connection.Finish();
        }

        return count;
    }

    /// <summary>Whether all that nobody wants to read any more was received already, and can be passed over.</summary>
    private bool IsRestHere()
    {
        if (framing == BodyFraming.Length)
        {
            var isHere = connection.Buffered.Length >= _left;
            connection.Skip(isHere ? (int)_left : 0);
            return isHere;
        }

        while (framing == BodyFraming.Chunked && connection.Buffered.Length > 0)
        {
            try
            {
                connection.Skip(_chunks.Read(connection.Buffered));
            }
            catch (HttpIOException)
            {
                // It goes with its connection.
                return false;
            }

            if (_chunks.IsAtEnd)
            {
                return true;
            }

            var count = (int)Math.Min(connection.Buffered.Length, _chunks.Left);
            connection.Skip(count);
            _chunks.Take(count);
        }

        return false;
    }
}
