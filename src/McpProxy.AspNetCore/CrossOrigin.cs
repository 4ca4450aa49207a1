using McpProxy.Transports.StreamableHttp;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace McpProxy.AspNetCore;

/// <summary>
/// Lets pages of the origins that were named read the answers (Fetch Standard, "CORS protocol"). Nothing is said to any
/// other origin, not even to loopback ones: being let in and being let read are two things.
/// </summary>
internal sealed class CrossOrigin(McpEndpointOptions options)
{
    /// <summary>What pages may read of an answer: what a client needs to go on with a session, to sign in, and to wait.</summary>
    private const string Exposed = $"{McpHeaders.SessionId}, {McpHeaders.ProtocolVersion}, WWW-Authenticate, Retry-After";

    private readonly bool _isOn = options.AllowedOrigins.Count > 0;
    private readonly bool _allowsAll = options.AllowedOrigins.Contains("*", StringComparer.Ordinal);

    /// <summary>Adds the headers that a named origin needs; and answers the question that a browser asks beforehand.</summary>
    /// <returns>True when the request was such a question, and is answered.</returns>
    public bool Apply(HttpContext context)
    {
        if (!_isOn)
        {
            return false;
        }

        var headers = context.Response.Headers;
        if (!headers.Vary.Contains("Origin", StringComparer.OrdinalIgnoreCase))
        {
            // On every answer: a cache must not give one origin what was said to another, or to none.
            headers.Vary = StringValues.Concat(headers.Vary, "Origin");
        }

        var origin = context.Request.Headers.Origin.ToString();
        if (origin.Length == 0 || !(_allowsAll || options.AllowedOrigins.Contains(origin, StringComparer.OrdinalIgnoreCase)))
        {
            return false;
        }

        headers.AccessControlAllowOrigin = origin;
        headers.AccessControlExposeHeaders = Exposed;
        if (context.Request.Method != "OPTIONS" || context.Request.Headers.AccessControlRequestMethod.Count == 0)
        {
            return false;
        }

        // Whatever the page asks to send: the protocol's headers, credentials, Mcp-Param-* with the names that tools give them, and a tracer's. A header
        // lets nobody in that the Origin has not let in.
        headers.AccessControlAllowMethods = "GET, POST, DELETE";
        headers.AccessControlAllowHeaders = context.Request.Headers.AccessControlRequestHeaders;
        headers.AccessControlMaxAge = "600";
        context.Response.StatusCode = StatusCodes.Status204NoContent;
        return true;
    }
}
