namespace McpProxy.Transports.Polling;

/// <summary>What epoll tells of a descriptor; the system's numbers.</summary>
[Flags]
internal enum EpollEvents : uint
{
    None = 0,
    In = 0x001,
    Out = 0x004,
    Error = 0x008,
    HangUp = 0x010,
    PeerClosed = 0x2000,
    EdgeTriggered = 1u << 31,
}
