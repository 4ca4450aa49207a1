using McpProxy.Transports.StreamableHttp;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore;

/// <summary>
/// Lets pages of the origins that were named read the answers (Fetch Standard, "CORS protocol"). Nothing is said to any
/// other origin, not even to loopback ones: being let in and being let read are two things.
/// </summary>
internal sealed class CrossOrigin(McpEndpointOptions options)
{
    /// <summary>Adds the headers that a named origin needs; and answers the question that a browser asks beforehand.</summary>
    /// <returns>True when the request was such a question, and is answered.</returns>
    public bool Apply(HttpContext context)
    {
        var origin = context.Request.Headers.Origin.ToString();
        if (origin.Length == 0 || !(options.AllowedOrigins.Contains(origin, StringComparer.OrdinalIgnoreCase) || options.AllowedOrigins.Contains("*", StringComparer.Ordinal)))
        {
            return false;
        }

        var headers = context.Response.Headers;
        headers.AccessControlAllowOrigin = origin;
        headers.Vary = "Origin";
        headers.AccessControlExposeHeaders = $"{McpHeaders.SessionId}, WWW-Authenticate";
        if (context.Request.Method != "OPTIONS" || context.Request.Headers.AccessControlRequestMethod.Count == 0)
        {
            return false;
        }

        // What the page asks to send is what the protocol's clients send, Mcp-Param-* with whatever names tools give them.
        headers.AccessControlAllowMethods = "GET, POST, DELETE";
        headers.AccessControlAllowHeaders = context.Request.Headers.AccessControlRequestHeaders;
        headers.AccessControlMaxAge = "600";
        context.Response.StatusCode = StatusCodes.Status204NoContent;
        return true;
    }
}
