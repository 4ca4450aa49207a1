using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using Microsoft.AspNetCore.Http;

namespace McpProxy.EndToEnd.Tests.OAuth.Servers;

/// <summary>Where a protected server has its metadata (RFC 9728).</summary>
public enum MetadataPlace
{
    /// <summary>At the address that the challenge names, and nowhere else.</summary>
    Named,

    /// <summary>In the well-known place of the endpoint's path, which the challenge does not name.</summary>
    Path,

    /// <summary>In the well-known place of the whole host, which the challenge does not name.</summary>
    Root,

    /// <summary>It has none, as servers of 2025-03-26 do: the authorization server is at its own origin.</summary>
    None,
}

/// <summary>
/// An MCP server that nobody enters without a live token: Streamable HTTP of both eras at <c>/mcp</c>, HTTP+SSE at
/// <c>/sse</c>.
/// </summary>
public sealed class ProtectedServer : LoopbackHost
{
    /// <summary>A tool that the server's challenge asks a further scope for.</summary>
    public const string GuardedTool = "guarded";

    /// <summary>Another one, with another scope.</summary>
    public const string OtherGuardedTool = "vault";

    private const string WellKnown = "/.well-known/oauth-protected-resource";

    private readonly ConcurrentDictionary<string, Channel<string>> _sseSessions = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<TaskCompletionSource, byte> _streams = new();
    private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly DpopVerifier _proofs = new();
    private int _lastSession;

    private ProtectedServer(AuthorizationServer authorization) => Authorization = authorization;

    /// <summary>Whose tokens are good here.</summary>
    public AuthorizationServer Authorization { get; set; }

    public MetadataPlace Place { get; set; } = MetadataPlace.Named;

    /// <summary>The scopes that the challenge of a 401 names.</summary>
    public string? ChallengeScope { get; set; }

    /// <summary>Changes the metadata before it is sent.</summary>
    public Action<JsonObject>? EditMetadata { get; set; }

    /// <summary>The answer in place of the metadata.</summary>
    public Fault? MetadataFault { get; set; }

    /// <summary>The scopes that tools need.</summary>
    public ConcurrentDictionary<string, string> ToolScopes { get; } = new(StringComparer.Ordinal) { [GuardedTool] = "files:write", [OtherGuardedTool] = "vault:read" };

    /// <summary>Whether no scope is ever enough for a tool that needs one.</summary>
    public bool IsInsatiable { get; set; }

    /// <summary>Whether tokens must be for this very server (RFC 8707).</summary>
    public bool ChecksAudience { get; set; } = true;

    /// <summary>Whether tokens must be bound to a key, and requests show that their sender has it (RFC 9449).</summary>
    public bool WantsDpop { get; set; }

    /// <summary>Whether only the metadata say that tokens must be bound.</summary>
    public bool KeepsDpopQuiet { get; set; }

    /// <summary>What proofs of possession must have been made with; null to take them without.</summary>
    public string? DpopNonce { get; set; }

    /// <summary>The only era that is spoken; both by default.</summary>
    public Era Speaks { get; set; } = Era.Dual;

    /// <summary>A token that is good though no authorization server issued it.</summary>
    public string? OwnToken { get; set; }

    /// <summary>Requests that were let in.</summary>
    public IReadOnlyList<SeenRequest> Entered => Answers.Where(request => request.Status is >= 200 and < 300 && !request.Path.StartsWith(WellKnown, StringComparison.Ordinal));

    /// <summary>Requests that were refused for want of a token.</summary>
    public IReadOnlyList<SeenRequest> Unauthorized => Answers.Where(request => request.Status == StatusCodes.Status401Unauthorized);

    public static async Task<ProtectedServer> StartNewAsync(AuthorizationServer authorization)
    {
        var server = new ProtectedServer(authorization);
        await server.StartAsync();
        return server;
    }

    /// <summary>Where a transport is served.</summary>
    public string At(Transport transport) => Origin + (transport == Transport.Sse ? "/sse" : "/mcp");

    /// <summary>Ends the streams that are open without a request.</summary>
    public void CutStreams()
    {
        foreach (var stream in _streams.Keys)
        {
            stream.TrySetResult();
        }
    }

    /// <summary>Lets the calls of the tool <c>wait</c> end.</summary>
    public void Release() => _released.TrySetResult();

    protected override Task HandleAsync(HttpContext context, SeenRequest request)
    {
        if (request.Path.StartsWith(WellKnown, StringComparison.Ordinal))
        {
            return MetadataFault?.Invoke(context) ?? ResourceMetadataAsync(context, request.Path[WellKnown.Length..]);
        }

        if (request.Path is not ("/mcp" or "/sse" or "/messages"))
        {
            return Place == MetadataPlace.None && !request.Path.StartsWith("/.well-known", StringComparison.Ordinal) ? Authorization.ServeAsync(context, request) : Faults.NotFound(context);
        }

        return Refuse(context, request) ? Task.CompletedTask : (request.Path, request.Method) switch
        {
            ("/mcp", "POST") => PostAsync(context, request),
            ("/mcp", "GET") => StreamAsync(context, null),
            ("/mcp", "DELETE") => Reply.TextAsync(context, "text/plain", ""),
            ("/sse", "GET") => SseAsync(context),
            ("/messages", "POST") => SsePostAsync(context, request),
            _ => StatusAsync(context, StatusCodes.Status405MethodNotAllowed),
        };
    }

    private static Task StatusAsync(HttpContext context, int status)
    {
        context.Response.StatusCode = status;
        return Task.CompletedTask;
    }

    private Task ResourceMetadataAsync(HttpContext context, string path)
    {
        var isThere = Place switch
        {
            MetadataPlace.Named or MetadataPlace.Path => path.Length > 0,
            MetadataPlace.Root => path.Length == 0,
            _ => false,
        };
        if (!isThere)
        {
            return Faults.NotFound(context);
        }

        var metadata = new JsonObject
        {
            ["resource"] = Origin + path,
            ["authorization_servers"] = new JsonArray(Authorization.Issuer),
        };
        if (KeepsDpopQuiet)
        {
            metadata["dpop_bound_access_tokens_required"] = true;
        }

        EditMetadata?.Invoke(metadata);
        return Reply.JsonAsync(context, metadata);
    }

    /// <summary>Answers a request that has no business here.</summary>
    private bool Refuse(HttpContext context, SeenRequest request)
    {
        if (request.Bearer is { } own && own == OwnToken)
        {
            return false;
        }

        var path = request.Path == "/messages" ? "/sse" : request.Path;
        var named = Place == MetadataPlace.Named ? $", resource_metadata=\"{Origin}{WellKnown}{path}\"" : "";
        var grant = Authorization.Find(WantsDpop ? request.BoundToken : request.Bearer);
        if (grant is not null && WantsDpop)
        {
            var (key, flaw) = _proofs.Verify(request, $"{Origin}{request.Path}", request.BoundToken, DpopNonce);
            context.Response.Headers["DPoP-Nonce"] = DpopNonce;
            if (key is null || key != Authorization.KeyOf(request.BoundToken!))
            {
                context.Response.StatusCode = StatusCodes.Status401Unauthorized;
                context.Response.Headers.WWWAuthenticate = $"DPoP error=\"{(flaw == "use_dpop_nonce" ? flaw : "invalid_dpop_proof")}\", error_description=\"{flaw.Replace('"', '\'')}\", algs=\"ES256\"{named}";
                return true;
            }
        }

        if (grant is null || (ChecksAudience && grant.Resource is not null && !$"{Origin}{path}".StartsWith(grant.Resource, StringComparison.Ordinal)))
        {
            var error = request.Bearer is null ? "" : ", error=\"invalid_token\"";
            var scope = ChallengeScope is null ? "" : $", scope=\"{ChallengeScope}\"";
            context.Response.StatusCode = StatusCodes.Status401Unauthorized;
            context.Response.Headers.WWWAuthenticate = $"{(WantsDpop && !KeepsDpopQuiet ? "DPoP algs=\"ES256\"," : "Bearer")} realm=\"mcp, \\\"quoted\\\"\"{named}{error}{scope}";
            return true;
        }

        if (ToolOf(request) is { } tool && ToolScopes.TryGetValue(tool, out var needed) && (IsInsatiable || !grant.Scopes.Contains(needed, StringComparer.Ordinal)))
        {
            context.Response.StatusCode = StatusCodes.Status403Forbidden;
            context.Response.Headers.WWWAuthenticate = $"Bearer error=\"insufficient_scope\", scope=\"{needed}\"{named}, error_description=\"more is needed\"";
            return true;
        }

        return false;
    }

    private static string? ToolOf(SeenRequest request) =>
        request.Method == "POST" && JsonNode.Parse(request.Body) is JsonObject message && message["method"]?.GetValue<string>() == "tools/call" ? message["params"]!["name"]!.GetValue<string>() : null;

    private async Task PostAsync(HttpContext context, SeenRequest request)
    {
        var message = JsonNode.Parse(request.Body)!.AsObject();
        if (message["id"] is null)
        {
            context.Response.StatusCode = StatusCodes.Status202Accepted;
            return;
        }

        if (message["method"]!.GetValue<string>() == "initialize")
        {
            context.Response.Headers["Mcp-Session-Id"] = string.Create(CultureInfo.InvariantCulture, $"session-{Interlocked.Increment(ref _lastSession)}");
        }

        var answer = await AnswerAsync(message, request);
        await Reply.JsonAsync(context, answer, answer.ContainsKey("error") ? StatusCodes.Status404NotFound : StatusCodes.Status200OK);
    }

    private async Task StreamAsync(HttpContext context, Func<Task>? begin)
    {
        context.Response.ContentType = "text/event-stream";
        await context.Response.StartAsync(context.RequestAborted);
        await context.Response.Body.FlushAsync(context.RequestAborted);
        var cut = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _streams[cut] = 0;
        using var gone = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, Stopping);
        try
        {
            await Task.WhenAny(cut.Task, begin?.Invoke() ?? cut.Task).WaitAsync(gone.Token);
        }
        finally
        {
            _streams.TryRemove(cut, out _);
        }
    }

    private Task SseAsync(HttpContext context)
    {
        var id = string.Create(CultureInfo.InvariantCulture, $"sse-{Interlocked.Increment(ref _lastSession)}");
        var answers = _sseSessions[id] = Channel.CreateUnbounded<string>();
        return StreamAsync(context, SendAsync);

        async Task SendAsync()
        {
            await context.Response.WriteAsync($"event: endpoint\ndata: /messages?sessionId={id}\n\n", context.RequestAborted);
            await foreach (var answer in answers.Reader.ReadAllAsync(context.RequestAborted))
            {
                await context.Response.WriteAsync($"event: message\ndata: {answer}\n\n", context.RequestAborted);
            }
        }
    }

    private async Task SsePostAsync(HttpContext context, SeenRequest request)
    {
        if (!_sseSessions.TryGetValue(request.Query.GetValueOrDefault("sessionId", ""), out var session))
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }

        context.Response.StatusCode = StatusCodes.Status202Accepted;
        await context.Response.CompleteAsync();
        var message = JsonNode.Parse(request.Body)!.AsObject();
        if (message["id"] is not null)
        {
            await session.Writer.WriteAsync((await AnswerAsync(message, request)).ToJsonString(), context.RequestAborted);
        }
    }

    private async Task<JsonObject> AnswerAsync(JsonObject message, SeenRequest request)
    {
        var parameters = message["params"] as JsonObject;
        var isModern = parameters?["_meta"]?["io.modelcontextprotocol/protocolVersion"] is not null;
        var method = message["method"]!.GetValue<string>();
        var answer = new JsonObject { ["jsonrpc"] = "2.0", ["id"] = message["id"]!.DeepClone() };
        if (Speaks == (isModern ? Era.Legacy : Era.Modern) || await ResultAsync(method, isModern, parameters, request) is not { } result)
        {
            answer["error"] = new JsonObject { ["code"] = -32601, ["message"] = $"Method not found: {method}" };
            return answer;
        }

        if (isModern)
        {
            result["resultType"] = "complete";
            if (method != "tools/call")
            {
                result["ttlMs"] = 0;
                result["cacheScope"] = "private";
            }
        }

        answer["result"] = result;
        return answer;
    }

    private async Task<JsonObject?> ResultAsync(string method, bool isModern, JsonObject? parameters, SeenRequest request)
    {
        var identity = new JsonObject { ["name"] = "protected", ["version"] = "1" };
        var capabilities = new JsonObject { ["tools"] = new JsonObject { ["listChanged"] = true } };
        switch (method, isModern)
        {
            case ("initialize", false):
                return new() { ["protocolVersion"] = parameters!["protocolVersion"]!.DeepClone(), ["capabilities"] = capabilities, ["serverInfo"] = identity };
            case ("ping", false):
                return [];
            case ("server/discover", true):
                return new()
                {
                    ["supportedVersions"] = new JsonArray("2026-07-28"),
                    ["capabilities"] = capabilities,
                    ["_meta"] = new JsonObject { ["io.modelcontextprotocol/serverInfo"] = identity },
                };
            case ("tools/list", _):
                return new() { ["tools"] = new JsonArray([.. new[] { "echo", "who", "wait", GuardedTool, OtherGuardedTool }.Select(Tool)]) };
            case ("tools/call", _):
                return new() { ["content"] = new JsonArray(new JsonObject { ["type"] = "text", ["text"] = await CallAsync(parameters!, request) }) };
            default:
                return null;
        }
    }

    private async Task<string> CallAsync(JsonObject parameters, SeenRequest request)
    {
        switch (parameters["name"]!.GetValue<string>())
        {
            case "who":
                return Authorization.Find(request.Bearer)?.Account ?? "nobody";
            case "wait":
                await _released.Task.WaitAsync(Stopping);
                return "waited";
            default:
                return parameters["arguments"]?["text"]?.GetValue<string>() is { Length: > 0 } text ? text : "done";
        }
    }

    private static JsonNode Tool(string name) => new JsonObject { ["name"] = name, ["description"] = name, ["inputSchema"] = new JsonObject { ["type"] = "object" } };
}
