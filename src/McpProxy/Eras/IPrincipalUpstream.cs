using McpProxy.Transports;

namespace McpProxy.Eras;

/// <summary>
/// A way to reach a server for single requests of the modern era, each on a connection of its own, which may share what is
/// behind it with other requests of the same principal and with nobody else's.
/// </summary>
public interface IPrincipalUpstream : IUpstream
{
    /// <summary>Makes a connection for one modern request. Nothing that can take long happens here.</summary>
    /// <param name="principal">Who asks, as one text that no other client has; null when nobody is told apart.</param>
    IConnection Connect(string? principal);
}
