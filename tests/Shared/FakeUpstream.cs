using System.Threading.Channels;
using McpProxy.Transports;

namespace McpProxy.Tests;

/// <summary>Hands out peers that the test plays.</summary>
internal sealed class FakeUpstream(Func<FakePeer> make) : IUpstream
{
    private readonly Channel<FakePeer> _made = Channel.CreateUnbounded<FakePeer>();

    public string Name => "fake";

    public bool StartsServer { get; init; } = true;

    public int Count { get; private set; }

    public IConnection Connect()
    {
        var peer = make();
        Count++;
        _made.Writer.TryWrite(peer);
        return peer;
    }

    /// <summary>The next connection that was made.</summary>
    public async Task<FakePeer> NextAsync()
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        return await _made.Reader.ReadAsync(timeout.Token);
    }
}
