using System.Buffers;

namespace McpProxy.Cli.Memory;

/// <summary>
/// What the server reads connections into and writes them from. The server's own pool has blocks of 4 KB, which makes a large message many small
/// reads, and holds on to as many as were ever in use.
/// </summary>
internal sealed class ConnectionBlocks : MemoryPool<byte>
{
    /// <summary>How many are kept at most while there is something to do: 4 MB.</summary>
    private const int MaxKept = 256;

    private const int Size = 16 * 1024;

    private readonly Lock _gate = new();
    private readonly Stack<Block> _free = new();
    private bool _isDisposed;

    public override int MaxBufferSize => Size;

    public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(minBufferSize, Size);
        Block? block;
        lock (_gate)
        {
            if (!_free.TryPop(out block))
            {
                // Not pinned: what is in use for long must not keep its surroundings from being given back.
                block = new(this, new byte[Size]);
            }
        }

        block.Rented();
        return block;
    }

    /// <summary>Lets go of all that is not in use.</summary>
    public void Trim()
    {
        lock (_gate)
        {
            _free.Clear();
            _free.TrimExcess();
        }
    }

    protected override void Dispose(bool disposing)
    {
        lock (_gate)
        {
            _isDisposed = true;
            _free.Clear();
        }
    }

    private void Return(Block block)
    {
        lock (_gate)
        {
            if (_free.Count < MaxKept && !_isDisposed)
            {
                _free.Push(block);
            }
        }
    }

    private sealed class Block(ConnectionBlocks pool, byte[] bytes) : IMemoryOwner<byte>
    {
        private int _isRented;

        public Memory<byte> Memory => bytes;

        public void Rented() => _isRented = 1;

        public void Dispose()
        {
            // Once only: what two connections had at the same time would show one what is the other's.
            if (Interlocked.Exchange(ref _isRented, 0) == 1)
            {
                pool.Return(this);
            }
        }
    }
}
