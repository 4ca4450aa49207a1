using System.Buffers;

namespace McpProxy.AspNetCore.Connections;

/// <summary>What the connections of a <see cref="LoopTransport"/> may hold.</summary>
internal sealed class LoopTransportOptions
{
    /// <summary>Makes the pool that connections are read into and written from: of blocks of one size, since the server asks for whatever there is.</summary>
    public required Func<MemoryPool<byte>> Memory { get; init; }

    /// <summary>From how many bytes on that nobody has read yet no more are taken from the socket.</summary>
    public long MaxReadBufferSize { get; init; } = 1024 * 1024;

    /// <summary>From how many bytes on that the socket has not taken yet a writer waits.</summary>
    public long MaxWriteBufferSize { get; init; } = 64 * 1024;

    /// <summary>How many connections may wait to be accepted.</summary>
    public int Backlog { get; init; } = 512;
}
