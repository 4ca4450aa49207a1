using System.Net;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore;

/// <summary>
/// Keeps out what a browser was tricked into sending (DNS rebinding): the <c>Host</c> and <c>Origin</c> of every request
/// must be ones that this server is meant to have (MCP, Streamable HTTP, "Security").
/// </summary>
internal sealed class RequestGuard(McpEndpointOptions options)
{
    /// <summary>The <c>Host</c> that was allowed last, and the address where it came in: nearly all requests have the same.</summary>
    private volatile Allowed? _last;

    /// <summary>Why a request is refused; null when it may come in.</summary>
    public string? Refusal(HttpContext context)
    {
        var headers = context.Request.Headers;
        if (!IsAllowedHost(headers.Host.ToString(), context) && context.Request.Host.Host is var host)
        {
            return $"the Host \"{host}\" is not allowed: add --allow-host {host} if it is meant";
        }

        var origins = headers.Origin;
        return origins.Count == 0 || IsAllowedOrigin(origins.ToString()) ? null : $"the Origin \"{origins}\" is not allowed: add --allow-origin {origins} if it is meant";
    }

    private bool IsAllowedHost(string header, HttpContext context)
    {
        var connectedTo = context.Connection.LocalIpAddress;
        if (_last is { } last && last.Host == header && Equals(last.ConnectedTo, connectedTo))
        {
            return true;
        }

        var isAllowed = IsAllowedHost(context.Request.Host.Host, connectedTo);
        if (isAllowed)
        {
            _last = new(header, connectedTo);
        }

        return isAllowed;
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

    private sealed record Allowed(string Host, IPAddress? ConnectedTo);
}
