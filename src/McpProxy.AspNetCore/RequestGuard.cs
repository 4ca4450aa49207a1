using System.Net;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore;

/// <summary>
/// Keeps out what a browser was tricked into sending (DNS rebinding): the <c>Host</c> and <c>Origin</c> of every request
/// must be ones that this server is meant to have (MCP, Streamable HTTP, "Security").
/// </summary>
internal sealed class RequestGuard(McpEndpointOptions options)
{
    /// <summary>Why a request is refused; null when it may come in.</summary>
    public string? Refusal(HttpContext context)
    {
        var host = context.Request.Host;
        if (!IsAllowedHost(host.Host, context.Connection.LocalIpAddress))
        {
            return $"the Host \"{host.Host}\" is not allowed: add --allow-host {host.Host} if it is meant";
        }

        var origin = context.Request.Headers.Origin.ToString();
        return context.Request.Headers.Origin.Count == 0 || IsAllowedOrigin(origin) ? null : $"the Origin \"{origin}\" is not allowed: add --allow-origin {origin} if it is meant";
    }

    private bool IsAllowedHost(string host, IPAddress? connectedTo) =>
        IsLoopback(host)
        || options.AllowedHosts.Contains(host, StringComparer.OrdinalIgnoreCase)
        || options.AllowedHosts.Contains("*", StringComparer.Ordinal)
        || (options.BaseUrl is { IsAbsoluteUri: true } url && string.Equals(url.Host, host, StringComparison.OrdinalIgnoreCase))

        // An address cannot be rebound: only a name can be made to mean something else.
        || (IPAddress.TryParse(host.Trim('[', ']'), out var address) && connectedTo is not null && address.MapToIPv6().Equals(connectedTo.MapToIPv6()));

    private bool IsAllowedOrigin(string origin) =>
        options.AllowedOrigins.Contains(origin, StringComparer.OrdinalIgnoreCase)
        || options.AllowedOrigins.Contains("*", StringComparer.Ordinal)
        || (Uri.TryCreate(origin, UriKind.Absolute, out var uri) && (uri.Scheme == Uri.UriSchemeHttp || uri.Scheme == Uri.UriSchemeHttps)
            && (IsLoopback(uri.Host)
                || (options.BaseUrl is { IsAbsoluteUri: true } url
                    && Uri.Compare(uri, url, UriComponents.SchemeAndServer, UriFormat.UriEscaped, StringComparison.OrdinalIgnoreCase) == 0)));

    private static bool IsLoopback(string host) =>
        host == "127.0.0.1"
        || string.Equals(host, "localhost", StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(host.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address));
}
