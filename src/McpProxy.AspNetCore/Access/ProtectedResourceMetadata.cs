using System.Text;
using McpProxy.AspNetCore.Responses;
using McpProxy.Auth;
using McpProxy.JsonRpc;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore.Access;

/// <summary>What clients are told about who authorizes for this server (RFC 9728; MCP 2026-07-28, "Authorization Server Discovery").</summary>
internal sealed class ProtectedResourceMetadata(JwtAccessOptions jwt, McpEndpointOptions endpoint)
{
    /// <summary>The path of the document, which the path of the resource follows (RFC 9728 section 3.1).</summary>
    public const string Path = "/.well-known/oauth-protected-resource";

    private readonly RequestGuard _guard = new(endpoint);
    private readonly CrossOrigin _crossOrigin = new(endpoint);

    /// <summary>What stands in front of the paths, where it is known beforehand: <c>--base-url</c>.</summary>
    public static string? KnownBase(McpEndpointOptions endpoint) => endpoint.BaseUrl is { IsAbsoluteUri: true } url ? url.GetLeftPart(UriPartial.Path).TrimEnd('/') : null;

    /// <summary>The identifiers of everything that the endpoint serves, where they are known beforehand.</summary>
    public static IReadOnlyList<string> KnownResources(McpEndpointOptions endpoint) =>
        KnownBase(endpoint) is { } origin ? [.. ((string?[])["", endpoint.StreamableHttpPath, endpoint.SsePath]).OfType<string>().Select(path => origin + Escaped(path))] : [];

    /// <summary>The address of the document for what a request asked for.</summary>
    public string AddressFor(HttpContext context) => $"{Base(context)}{Path}{Escaped(ResourcePath(context.Request.PathBase + context.Request.Path))}";

    /// <summary>Answers a request for the document.</summary>
    public async Task ServeAsync(HttpContext context)
    {
        if (_guard.Refusal(context) is { } refusal)
        {
            await HttpReply.ErrorAsync(context, StatusCodes.Status403Forbidden, default, JsonRpcErrorCode.InvalidRequest, $"Forbidden: {refusal}");
            return;
        }

        if (_crossOrigin.Apply(context))
        {
            return;
        }

        if (!HttpMethods.IsGet(context.Request.Method) && !HttpMethods.IsHead(context.Request.Method))
        {
            context.Response.Headers.Allow = "GET, HEAD";
            context.Response.StatusCode = StatusCodes.Status405MethodNotAllowed;
            return;
        }

        if (ServedPath(context.Request.Path.Value![Path.Length..]) is not { } path)
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }

        await HttpReply.JsonAsync(context, StatusCodes.Status200OK, Encoding.UTF8.GetBytes(Document(Base(context) + Escaped(path))));
    }

    private string Document(string resource) => JsonText.Object(writer =>
    {
        writer.WriteString("resource", resource);
        writer.WriteStrings("authorization_servers", jwt.Issuers);
        if (jwt.RequiredScopes.Count > 0)
        {
            writer.WriteStrings("scopes_supported", jwt.RequiredScopes);
        }

        writer.WriteStrings("bearer_methods_supported", ["header"]);
    });

    private static string Escaped(string path) => path.Length == 0 ? path : new PathString(path).ToUriComponent();

    private string Base(HttpContext context) =>
        KnownBase(endpoint) ?? $"{context.Request.Scheme}://{context.Request.Host}{endpoint.BaseUrl?.OriginalString.TrimEnd('/')}";

    /// <summary>The path of the resource that a path belongs to: HTTP+SSE is at the path of its stream.</summary>
    private string ResourcePath(string path) =>
        Same(path, endpoint.StreamableHttpPath) ? endpoint.StreamableHttpPath!
        : endpoint.SsePath is { } sse && (Same(path, sse) || Same(path, endpoint.MessagesPath)) ? sse
        : path;

    /// <summary>The path of a resource that is served here; null when there is none. It may have what a reverse proxy adds in front.</summary>
    private string? ServedPath(string path)
    {
        var prefix = endpoint.BaseUrl is not { } url ? "" : (url.IsAbsoluteUri ? url.AbsolutePath : url.OriginalString).TrimEnd('/');
        return ((string?[])["", endpoint.StreamableHttpPath, endpoint.SsePath]).OfType<string>().FirstOrDefault(served => Same(path, served) || Same(path, prefix + served));
    }

    private static bool Same(string path, string? other) => string.Equals(path.TrimEnd('/'), other?.TrimEnd('/'), StringComparison.OrdinalIgnoreCase);
}
