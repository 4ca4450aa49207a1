namespace McpProxy.Transports;

/// <summary>The ways a connection can end.</summary>
public enum ConnectionEndReason
{
    /// <summary>The peer closed its side: end of input, a deleted session, an ended stream.</summary>
    PeerClosed,

    /// <summary>The child process exited.</summary>
    ChildExited,

    /// <summary>The child process could not be started.</summary>
    StartFailed,

    /// <summary>The upstream could not be reached at all, or refused the first message.</summary>
    ConnectFailed,

    /// <summary>Reading or writing failed.</summary>
    TransportFailed,

    /// <summary>This side closed it.</summary>
    Closed,
}
