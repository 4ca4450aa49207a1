using McpProxy.Transports;

namespace McpProxy.Eras;

/// <summary>An upstream whose next connection may be one that is open already, so that asking a server what it speaks does not start it twice.</summary>
internal sealed class HandedOver(IUpstream upstream) : IUpstream, IAsyncDisposable
{
    private OpenConnection? _offered;

    public string Name => upstream.Name;

    public bool StartsServer => upstream.StartsServer;

    /// <summary>Offers an open connection to whoever comes next. One that was offered before and not taken is closed.</summary>
    public ValueTask OfferAsync(OpenConnection? connection)
    {
        connection?.Withhold();
        return Interlocked.Exchange(ref _offered, connection) is { } unused ? unused.DisposeAsync() : ValueTask.CompletedTask;
    }

    public IConnection Connect()
    {
        var offered = Interlocked.Exchange(ref _offered, null);
        return offered is { Ended.IsCompleted: false } ? offered : upstream.Connect();
    }

    public ValueTask DisposeAsync() => OfferAsync(null);
}
