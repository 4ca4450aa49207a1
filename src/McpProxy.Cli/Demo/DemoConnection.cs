using System.Globalization;
using System.Text;
using System.Text.Json;
using McpProxy.JsonRpc;
using McpProxy.Transports;

namespace McpProxy.Cli.Demo;

/// <summary>One connection to the demo server, which speaks every revision of both eras.</summary>
internal sealed class DemoConnection(DemoUpstream server) : IConnection
{
    private const string CounterUri = "demo://calls";
    private const string Identity = """{"name":"mcp-proxy-demo","title":"The demo server of mcp-proxy","version":"1.0.0"}""";
    private const string Capabilities = """{"tools":{},"prompts":{},"resources":{"subscribe":true},"logging":{}}""";
    private const string Complete = "\"resultType\":\"complete\",";
    private const string Cacheable = "\"ttlMs\":0,\"cacheScope\":\"private\",";

    private const string Tools = """
        "tools":[{"name":"echo","description":"Says what it is told","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}},{"name":"add","description":"Adds two numbers","inputSchema":{"type":"object","properties":{"a":{"type":"number"},"b":{"type":"number"}},"required":["a","b"]}},{"name":"slow","description":"Takes its time and reports progress","inputSchema":{"type":"object","properties":{"steps":{"type":"integer","minimum":1,"maximum":100},"milliseconds":{"type":"integer","minimum":0,"maximum":60000}}}},{"name":"ask","description":"Asks the user for a name and greets them","inputSchema":{"type":"object"}}]
        """;

    private const string Question = """
        {"mode":"form","message":"What is your name?","requestedSchema":{"type":"object","properties":{"name":{"type":"string","title":"Name"}},"required":["name"]}}
        """;

    private readonly TaskCompletionSource<ConnectionEnd> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _gate = new();
    private readonly Dictionary<JsonRpcId, CancellationTokenSource> _calls = [];
    private readonly Dictionary<JsonRpcId, TaskCompletionSource<JsonRpcMessage>> _questions = [];
    private readonly HashSet<JsonRpcId> _listeners = [];
    private IMessageReceiver? _receiver;
    private bool _isSubscribed;
    private bool _clientCanBeAsked;
    private long _lastQuestion;

    public bool HasRequestStreams => true;

    public Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        _receiver = receiver;
        cancellationToken.Register(() => _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed")));
        return _ended.Task;
    }

    public ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        message = message.Detach();
        switch (message.Kind)
        {
            case JsonRpcMessageKind.Request:
                _ = AnswerAsync(message);
                break;
            case JsonRpcMessageKind.Response:
                Take(message);
                break;
            default:
                Cancel(message.CancelledRequest());
                break;
        }

        return ValueTask.FromResult(true);
    }

    public async ValueTask DisposeAsync()
    {
        _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed"));
        server.Disconnected(this);
        await _closing.CancelAsync();
    }

    /// <summary>Tells those who asked for it that the counter has changed.</summary>
    public async Task ResourceChangedAsync()
    {
        List<JsonRpcId> listeners;
        lock (_gate)
        {
            listeners = [.. _listeners];
        }

        if (_isSubscribed)
        {
            await SendAsync($$$"""{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"{{{CounterUri}}}"}}""", default);
        }

        foreach (var id in listeners)
        {
            await SendAsync($$$$$"""{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"{{{{{CounterUri}}}}}","_meta":{"io.modelcontextprotocol/subscriptionId":{{{{{id}}}}}}}}""", id);
        }
    }

    private async Task AnswerAsync(JsonRpcMessage request)
    {
        using var call = CancellationTokenSource.CreateLinkedTokenSource(_closing.Token);
        lock (_gate)
        {
            _calls[request.Id] = call;
        }

        try
        {
            // The sender goes on; a server is not done when it has read the request.
            await Task.Yield();
            var result = await ResultAsync(request, call.Token);
            await SendAsync($$"""{"jsonrpc":"2.0","id":{{request.Id}},"result":{{result}}}""", request.Id);
        }
        catch (DemoException e)
        {
            await _receiver!.ReceiveAsync(JsonRpcWriter.Error(request.Id, e.Code, e.Message), request.Id, CancellationToken.None);
        }
        catch (OperationCanceledException)
        {
            // Cancelled requests get no answer.
        }
        finally
        {
            lock (_gate)
            {
                _calls.Remove(request.Id);
                _listeners.Remove(request.Id);
            }
        }
    }

    private async Task<string> ResultAsync(JsonRpcMessage request, CancellationToken cancellationToken)
    {
        var modern = request.IsModern();
        if (modern && JsonMembers.AsString(request.ProtocolVersion()) != "2026-07-28")
        {
            throw new DemoException(JsonRpcErrorCode.UnsupportedProtocolVersion, "unsupported protocol version; this server speaks 2026-07-28 and, after initialize, the older ones");
        }

        var method = Encoding.UTF8.GetString(request.Method);
        return (method, modern) switch
        {
            ("initialize", false) => Initialize(request),
            ("ping", false) => "{}",
            ("logging/setLevel", false) => "{}",
            ("resources/subscribe", false) => Subscribe(true),
            ("resources/unsubscribe", false) => Subscribe(false),
            ("server/discover", true) => $$$"""{{{{Complete}}}{{{Cacheable}}}"supportedVersions":["2026-07-28"],"capabilities":{{{Capabilities}}},"_meta":{"io.modelcontextprotocol/serverInfo":{{{Identity}}}}}""",
            ("subscriptions/listen", true) => await ListenAsync(request, cancellationToken),
            ("tools/list", _) => List(modern, Tools),
            ("tools/call", _) => await CallAsync(request, modern, cancellationToken),
            ("resources/list", _) => List(modern, $$"""
                "resources":[{"uri":"{{CounterUri}}","name":"calls","description":"How many tools were called","mimeType":"text/plain"}]
                """),
            ("resources/templates/list", _) => List(modern, "\"resourceTemplates\":[]"),
            ("resources/read", _) => Read(request, modern),
            ("prompts/list", _) => List(modern, """
                "prompts":[{"name":"greet","description":"Asks for a greeting","arguments":[{"name":"name","required":true}]}]
                """),
            ("prompts/get", _) => Prompt(request, modern),
            _ => throw new DemoException(JsonRpcErrorCode.MethodNotFound, $"Method not found: {method}"),
        };
    }

    private static string List(bool modern, string members) => $"{{{(modern ? Complete + Cacheable : "")}{members}}}";

    private string Initialize(in JsonRpcMessage request)
    {
        _clientCanBeAsked = !JsonMembers.Find(JsonMembers.Find(request.Params, "capabilities"u8), "elicitation"u8).IsEmpty;
        var version = JsonMembers.AsString(JsonMembers.Find(request.Params, "protocolVersion"u8));
        var spoken = version is "2024-11-05" or "2025-03-26" or "2025-06-18" or "2025-11-25" ? version : "2025-11-25";
        return $$"""{"protocolVersion":"{{spoken}}","capabilities":{{Capabilities}},"serverInfo":{{Identity}}}""";
    }

    private string Subscribe(bool on)
    {
        _isSubscribed = on;
        return "{}";
    }

    private async Task<string> ListenAsync(JsonRpcMessage request, CancellationToken cancellationToken)
    {
        var wanted = JsonMembers.Find(JsonMembers.Find(request.Params, "notifications"u8), "resourceSubscriptions"u8);
        var honoured = wanted.Span.IndexOf(Encoding.UTF8.GetBytes(CounterUri)) >= 0;
        await SendAsync(
            $$$"""{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":{{{request.Id}}}},"notifications":{{{(honoured ? $$"""{"resourceSubscriptions":["{{CounterUri}}"]}""" : "{}")}}}}}""",
            request.Id);
        if (honoured)
        {
            lock (_gate)
            {
                _listeners.Add(request.Id);
            }
        }

        await Task.Delay(Timeout.Infinite, cancellationToken);
        return "{}";
    }

    private async Task<string> CallAsync(JsonRpcMessage request, bool modern, CancellationToken cancellationToken)
    {
        var arguments = JsonMembers.Find(request.Params, "arguments"u8);
        var tool = JsonMembers.AsString(JsonMembers.Find(request.Params, "name"u8));
        string text;
        switch (tool)
        {
            case "echo":
                text = JsonMembers.AsString(JsonMembers.Find(arguments, "text"u8)) ?? throw new DemoException(JsonRpcErrorCode.InvalidParams, "echo needs a text");
                break;
            case "add":
                text = (Number(arguments, "a"u8) + Number(arguments, "b"u8)).ToString(CultureInfo.InvariantCulture);
                break;
            case "slow":
                text = await WorkSlowlyAsync(request, arguments, cancellationToken);
                break;
            case "ask":
                var (name, question) = modern ? AskModern(request) : (await AskLegacyAsync(request.Id, cancellationToken), null);
                if (question is not null)
                {
                    return question;
                }

                text = name is null ? "Nobody told me a name." : $"Hello, {name}!";
                break;
            default:
                throw new DemoException(JsonRpcErrorCode.InvalidParams, $"Unknown tool: {tool}");
        }

        await server.CountCallAsync();
        return $$"""{{{(modern ? Complete : "")}}"content":[{"type":"text","text":{{Quoted(text)}}}]}""";
    }

    private static double Number(ReadOnlyMemory<byte> arguments, ReadOnlySpan<byte> name) =>
        System.Buffers.Text.Utf8Parser.TryParse(JsonMembers.Find(arguments, name).Span, out double number, out _)
            ? number
            : throw new DemoException(JsonRpcErrorCode.InvalidParams, $"{Encoding.UTF8.GetString(name)} must be a number");

    private static int Integer(ReadOnlyMemory<byte> arguments, ReadOnlySpan<byte> name, int otherwise, int largest) =>
        System.Buffers.Text.Utf8Parser.TryParse(JsonMembers.Find(arguments, name).Span, out int number, out _) ? Math.Clamp(number, 0, largest) : otherwise;

    private async Task<string> WorkSlowlyAsync(JsonRpcMessage request, ReadOnlyMemory<byte> arguments, CancellationToken cancellationToken)
    {
        var steps = Integer(arguments, "steps"u8, 3, 100);
        var pause = TimeSpan.FromMilliseconds(Integer(arguments, "milliseconds"u8, 200, 60_000));
        var token = request.ProgressToken();
        for (var step = 1; step <= steps; step++)
        {
            await Task.Delay(pause, cancellationToken);
            if (!token.IsNone)
            {
                await SendAsync(
                    $$$"""{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":{{{token}}},"progress":{{{step}}},"total":{{{steps}}},"message":"step {{{step}}} of {{{steps}}}"}}""",
                    request.Id);
            }
        }

        return $"Done in {steps} steps.";
    }

    /// <summary>The modern way to ask: answer that input is required, and be called again with it.</summary>
    private static (string? Name, string? Question) AskModern(in JsonRpcMessage request)
    {
        var answers = JsonMembers.Find(request.Params, "inputResponses"u8);
        if (!answers.IsEmpty)
        {
            return (NameIn(JsonMembers.Find(answers, "name"u8)), null);
        }

        var capabilities = JsonMembers.Find(request.Meta(), "io.modelcontextprotocol/clientCapabilities"u8);
        return JsonMembers.Find(capabilities, "elicitation"u8).IsEmpty
            ? (null, null)
            : (null, $$$$$"""{"resultType":"input_required","inputRequests":{"name":{"method":"elicitation/create","params":{{{{{Question}}}}}}}}""");
    }

    /// <summary>The legacy way to ask: send the client a request on the stream of its own.</summary>
    private async Task<string?> AskLegacyAsync(JsonRpcId call, CancellationToken cancellationToken)
    {
        if (!_clientCanBeAsked)
        {
            return null;
        }

        var id = JsonRpcId.FromNumber(Interlocked.Increment(ref _lastQuestion));
        var answer = new TaskCompletionSource<JsonRpcMessage>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            _questions[id] = answer;
        }

        await SendAsync($$"""{"jsonrpc":"2.0","id":{{id}},"method":"elicitation/create","params":{{Question}}}""", call);
        return NameIn((await answer.Task.WaitAsync(cancellationToken)).Result);
    }

    private static string? NameIn(ReadOnlyMemory<byte> elicited) => JsonMembers.AsString(JsonMembers.Find(JsonMembers.Find(elicited, "content"u8), "name"u8));

    private string Read(in JsonRpcMessage request, bool modern) =>
        JsonMembers.AsString(JsonMembers.Find(request.Params, "uri"u8)) == CounterUri
            ? List(modern, $$"""
                "contents":[{"uri":"{{CounterUri}}","mimeType":"text/plain","text":"{{server.Calls}} tool calls so far"}]
                """)
            : throw new DemoException(modern ? JsonRpcErrorCode.InvalidParams : -32002, "Resource not found");

    private static string Prompt(in JsonRpcMessage request, bool modern)
    {
        if (JsonMembers.AsString(JsonMembers.Find(request.Params, "name"u8)) != "greet")
        {
            throw new DemoException(JsonRpcErrorCode.InvalidParams, "Unknown prompt");
        }

        var name = JsonMembers.AsString(JsonMembers.Find(JsonMembers.Find(request.Params, "arguments"u8), "name"u8)) ?? "you";
        var messages = $$$$"""
            "messages":[{"role":"user","content":{"type":"text","text":{{{{Quoted($"Please greet {name}.")}}}}}}]
            """;
        return $"{{{(modern ? Complete : "")}{messages}}}";
    }

    private static string Quoted(string text) => $"\"{JsonEncodedText.Encode(text, System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping)}\"";

    private ValueTask SendAsync(string json, JsonRpcId related) => _receiver!.ReceiveAsync(JsonSplice.Reparse(Encoding.UTF8.GetBytes(json)), related, CancellationToken.None);

    private void Take(in JsonRpcMessage answer)
    {
        TaskCompletionSource<JsonRpcMessage>? question;
        lock (_gate)
        {
            _questions.Remove(answer.Id, out question);
        }

        question?.TrySetResult(answer);
    }

    private void Cancel(JsonRpcId request)
    {
        lock (_gate)
        {
            if (_calls.TryGetValue(request, out var call))
            {
                call.Cancel();
            }
        }
    }
}
