using System.Buffers;

namespace McpProxy.AspNetCore.Tests.Connections;

/// <summary>Memory as the server wants it: blocks of one size, and never none.</summary>
internal sealed class Blocks : MemoryPool<byte>
{
    private const int Size = 4096;

    public override int MaxBufferSize => Size;

    public override IMemoryOwner<byte> Rent(int minBufferSize = -1) => new Block();

    protected override void Dispose(bool disposing)
    {
    }

    private sealed class Block : IMemoryOwner<byte>
    {
        private byte[] _bytes = new byte[Size];

        public Memory<byte> Memory => _bytes;

        // What is used after it was given back is to be seen.
        public void Dispose() => _bytes = [];
    }
}
