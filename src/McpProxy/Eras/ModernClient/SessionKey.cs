using System.Text;
using McpProxy.JsonRpc;

namespace McpProxy.Eras.ModernClient;

/// <summary>Whose legacy session it is: one is never used for a client that differs in any of these.</summary>
/// <param name="Principal">The authenticated principal; null when nobody is told apart.</param>
/// <param name="ClientInfo">JSON text of what the client calls itself; empty when it does not say.</param>
/// <param name="Capabilities">JSON text of the client's capabilities.</param>
internal sealed record SessionKey(string? Principal, string ClientInfo, string Capabilities)
{
    /// <summary>The key of a modern request, which was checked.</summary>
    public static SessionKey Of(string? principal, in JsonRpcMessage request)
    {
        var meta = new ObjectEdit(request.Meta());
        return new(principal, Encoding.UTF8.GetString(meta.Find(MetaKey.ClientInfo).Span), Encoding.UTF8.GetString(meta.Find(MetaKey.ClientCapabilities).Span));
    }
}
