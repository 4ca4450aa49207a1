using System.Net;

namespace McpProxy.Auth;

/// <summary>What a server answered to a request of the OAuth client.</summary>
/// <param name="Status">The HTTP status.</param>
/// <param name="Document">The JSON object in the body; null when there is none.</param>
/// <param name="DpopNonce">The nonce for the next proof (RFC 9449 section 8), or null.</param>
internal sealed record OAuthResponse(HttpStatusCode Status, OAuthDocument? Document, string? DpopNonce)
{
    public bool IsSuccess => (int)Status is >= 200 and < 300;
}
