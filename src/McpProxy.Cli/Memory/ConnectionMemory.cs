#if NET10_0_OR_GREATER
using System.Buffers;
using Microsoft.AspNetCore.Connections;
#endif

namespace McpProxy.Cli.Memory;

/// <summary>The memory of the server's connections. Before .NET 10 the server takes no other than its own.</summary>
internal sealed class ConnectionMemory
#if NET10_0_OR_GREATER
    : IMemoryPoolFactory<byte>
#endif
{
    private readonly Lock _gate = new();
    private readonly List<ConnectionBlocks> _pools = [];

    /// <summary>Makes a pool.</summary>
    public ConnectionBlocks Create()
    {
        var pool = new ConnectionBlocks();
        lock (_gate)
        {
            _pools.Add(pool);
        }

        return pool;
    }

    /// <summary>Lets go of all that is not in use.</summary>
    public void Trim()
    {
        lock (_gate)
        {
            _pools.ForEach(pool => pool.Trim());
        }
    }

#if NET10_0_OR_GREATER
    MemoryPool<byte> IMemoryPoolFactory<byte>.Create(MemoryPoolOptions? options) => Create();
#endif
}
