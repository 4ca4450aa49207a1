using McpProxy.JsonRpc;
using McpProxy.Relay;
using McpProxy.Transports;
using McpProxy.Transports.StreamableHttp;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore;

/// <summary>Checks a modern request's headers against its body, in the order that the specification implies (MCP 2026-07-28, "Server Validation").</summary>
internal sealed class StatelessValidator(IUpstream upstream, ToolHeaderCatalog tools)
{
    /// <summary>What is wrong with a request; null when nothing is.</summary>
    public async Task<(int Code, string Message)?> ProblemAsync(HttpRequest http, JsonRpcMessage request, CancellationToken cancellationToken)
    {
        if (Problem(http.Headers, request) is { } problem)
        {
            return problem;
        }

        if (!request.Is("tools/call"u8) || RequestMetadata.NameOf(request) is not { } tool)
        {
            return null;
        }

        var learned = tools.Find(tool);
        if (learned is null || ParameterProblem(http.Headers, request, learned) is not null)
        {
            // Never listed yet, or listed and changed since: only what the server says now can refuse a call.
            await ListToolsAsync(request, cancellationToken);
            learned = tools.Find(tool);
        }

        return learned is null || ParameterProblem(http.Headers, request, learned) is not { } mismatch ? null : (JsonRpcErrorCode.HeaderMismatch, mismatch);
    }

    private static (int Code, string Message)? Problem(IHeaderDictionary headers, in JsonRpcMessage request)
    {
        var version = JsonMembers.AsString(request.ProtocolVersion());
        if (version is null)
        {
            return (JsonRpcErrorCode.InvalidParams, "Invalid params: _meta must have \"io.modelcontextprotocol/protocolVersion\", a string");
        }

        if (request.Kind == JsonRpcMessageKind.Request && JsonMembers.Find(request.Meta(), "io.modelcontextprotocol/clientCapabilities"u8).Span is not [(byte)'{', ..])
        {
            return (JsonRpcErrorCode.InvalidParams, "Invalid params: _meta must have \"io.modelcontextprotocol/clientCapabilities\", an object");
        }

        var method = System.Text.Encoding.UTF8.GetString(request.Method);
        var problem = Mismatch(headers, McpHeaders.ProtocolVersion, version)
            ?? Mismatch(headers, McpHeaders.Method, method)
            ?? (RequestMetadata.NeedsName(request) && RequestMetadata.NameOf(request) is { } name ? Mismatch(headers, McpHeaders.Name, name) : null);
        return problem is null ? null : (JsonRpcErrorCode.HeaderMismatch, problem);
    }

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

    private async Task ListToolsAsync(JsonRpcMessage call, CancellationToken cancellationToken)
    {
        string? cursor = null;
        for (var page = 0; page < ToolListRequest.MaxPages; page++)
        {
            if (await UpstreamQuestion.AskAsync(upstream, ToolListRequest.For(call, cursor), cancellationToken) is not { IsError: false } answer)
            {
                return;
            }

            tools.Learn(answer);
            cursor = ToolListRequest.NextCursor(answer);
            if (cursor is null)
            {
                return;
            }
        }
    }
}
