using McpProxy.JsonRpc;
using McpProxy.Relay;
using McpProxy.Transports;
using McpProxy.Transports.StreamableHttp;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore.Stateless;

/// <summary>Checks a modern request's headers against its body, in the order that the specification implies (MCP 2026-07-28, "Server Validation").</summary>
internal sealed class StatelessValidator(IUpstream upstream, ToolHeaderCatalog tools, TimeProvider time)
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(30);

    /// <summary>The revision of the modern era that needs no question whether the server knows it.</summary>
    private const string Known = "2026-07-28";

    /// <summary>What is wrong with a request; null when nothing is.</summary>
    public async Task<Problem?> ProblemAsync(HttpRequest http, JsonRpcMessage request, CancellationToken cancellationToken)
    {
        if (MetaProblem(http.Headers, request) is { } metaProblem)
        {
            return metaProblem;
        }

        if (JsonMembers.AsString(request.ProtocolVersion()) is var version && version != Known && await VersionProblemAsync(version!, request, cancellationToken) is { } versionProblem)
        {
            return versionProblem;
        }

        if (HeaderProblem(http.Headers, request) is { } headerProblem)
        {
            return new(JsonRpcErrorCode.HeaderMismatch, headerProblem);
        }

        if (!request.Is("tools/call"u8) || RequestMetadata.NameOf(request) is not { } tool)
        {
            return null;
        }

        var learned = tools.Find(tool);
        if (learned is null || ParameterProblem(http.Headers, request, learned) is not null)
        {
            // Never listed yet, or listed and changed since: only what the server says now can refuse a call. The list may outlast the request.
            await tools.ListOnceAsync(request.Detach(), async page => (await AskAsync(page, CancellationToken.None)).Message).WaitAsync(cancellationToken);
            learned = tools.Find(tool);
        }

        return learned is null || ParameterProblem(http.Headers, request, learned) is not { } mismatch ? null : new(JsonRpcErrorCode.HeaderMismatch, mismatch);
    }

    private static Problem? MetaProblem(IHeaderDictionary headers, in JsonRpcMessage request)
    {
        var version = JsonMembers.AsString(request.ProtocolVersion());
        if (version is null)
        {
            return new(JsonRpcErrorCode.InvalidParams, "Invalid params: _meta must have \"io.modelcontextprotocol/protocolVersion\", a string");
        }

        if (request.Kind == JsonRpcMessageKind.Request && JsonMembers.Find(request.Meta(), "io.modelcontextprotocol/clientCapabilities"u8).Span is not [(byte)'{', ..])
        {
            return new(JsonRpcErrorCode.InvalidParams, "Invalid params: _meta must have \"io.modelcontextprotocol/clientCapabilities\", an object");
        }

        return Mismatch(headers, McpHeaders.ProtocolVersion, version) is { } mismatch ? new(JsonRpcErrorCode.HeaderMismatch, mismatch) : null;
    }

    private static string? HeaderProblem(IHeaderDictionary headers, in JsonRpcMessage request) =>
        Mismatch(headers, McpHeaders.Method, System.Text.Encoding.UTF8.GetString(request.Method))
        ?? (RequestMetadata.NameOf(request) is { } name ? Mismatch(headers, McpHeaders.Name, name) : null);

    /// <summary>Asks the server for its revisions: over stdio it takes its own from the first message, so that a wrong one must not be that.</summary>
    private async Task<Problem?> VersionProblemAsync(string version, JsonRpcMessage request, CancellationToken cancellationToken)
    {
        if ((await AskAsync(DiscoverRequest(), cancellationToken)).Message is not { IsError: false } answer)
        {
            return null;
        }

        var supported = JsonMembers.Find(answer.Result, "supportedVersions"u8);
        if (supported.Span is not [(byte)'[', ..] || !JsonRpcMessage.TrySplitBatch(supported, out var versions, out _))
        {
            return null;
        }

        return versions.Exists(item => JsonMembers.AsString(item) == version) ? null : new(
            JsonRpcErrorCode.UnsupportedProtocolVersion,
            $"Unsupported protocol version: {version}",
            (byte[])[.. "{\"supported\":"u8, .. supported.Span, .. ",\"requested\":"u8, .. request.ProtocolVersion().Span, (byte)'}']);
    }

    private Task<UpstreamAnswer> AskAsync(JsonRpcMessage request, CancellationToken cancellationToken) =>
        UpstreamQuestion.AskAsync(upstream, request, s_timeout, time, cancellationToken);

    private static JsonRpcMessage DiscoverRequest() => JsonSplice.Reparse(
        """{"jsonrpc":"2.0","id":"mcp-proxy/server/discover","method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"""u8.ToArray());

    private static string? Mismatch(IHeaderDictionary headers, string name, string expected)
    {
        if (!headers.TryGetValue(name, out var values))
        {
            return $"Header mismatch: the {name} header is missing";
        }

        var value = values.Count == 1 ? McpHeaders.Decode(values.ToString()) : null;
        return string.Equals(value, expected, StringComparison.Ordinal) ? null : $"Header mismatch: {name} \"{values}\" does not match the body's \"{expected}\"";
    }

    private static string? ParameterProblem(IHeaderDictionary headers, in JsonRpcMessage request, IReadOnlyList<ToolHeader> mirrored)
    {
        if (mirrored.Count == 0)
        {
            return null;
        }

        var arguments = JsonMembers.Find(request.Params, "arguments"u8);
        foreach (var header in mirrored)
        {
            var expected = header.ValueFor(arguments);
            if (!headers.TryGetValue(header.Name, out var values))
            {
                if (expected is not null)
                {
                    return $"Header mismatch: the {header.Name} header is missing";
                }
            }
            else if (expected is null || values.Count != 1 || McpHeaders.Decode(values.ToString()) is not { } value || !ToolHeader.Matches(value, expected))
            {
                return $"Header mismatch: {header.Name} does not match the call's arguments";
            }
        }

        return null;
    }

    /// <summary>What is wrong with a request, as the error that answers it.</summary>
    /// <param name="Code">The JSON-RPC error code.</param>
    /// <param name="Message">What is wrong.</param>
    /// <param name="Data">The error's data, JSON text; empty for none.</param>
    internal sealed record Problem(int Code, string Message, ReadOnlyMemory<byte> Data = default);
}
