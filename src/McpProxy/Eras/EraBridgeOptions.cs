namespace McpProxy.Eras;

/// <summary>How clients of one era are brought together with a server of the other.</summary>
public sealed class EraBridgeOptions
{
    /// <summary>What the server speaks. Default: found out.</summary>
    public EraChoice Upstream { get; init; }

    /// <summary>What clients are offered. Default: whichever they ask for. Otherwise clients of the other era are refused, as by a server that does not know it.</summary>
    public EraChoice Downstream { get; init; }

    /// <summary>How long a server may be silent when it is asked which era it speaks, before it counts as one of the legacy era. Default: 3 s.</summary>
    public TimeSpan ProbeTimeout { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>How long a legacy session that serves modern clients may be unused before it is closed. Default: 5 min.</summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How many legacy sessions may serve modern clients at once. Default: 256.</summary>
    public int MaxSessions { get; init; } = 256;

    /// <summary>How long a call waits for the input that its server has asked the client for, before it is cancelled. Default: 5 min.</summary>
    public TimeSpan InputTimeout { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How many calls may wait for input at once; beyond, the server is told that nobody can be asked. Default: 10 000.</summary>
    public int MaxWaitingCalls { get; init; } = 10_000;
}
