using McpProxy.Transports;

namespace McpProxy.Relay;

/// <summary>How a relay session ended.</summary>
/// <param name="ByUpstream">True when the upstream ended it, false when the client or this side did.</param>
/// <param name="End">The end of the connection that ended first.</param>
public sealed record RelayEnd(bool ByUpstream, ConnectionEnd End);
