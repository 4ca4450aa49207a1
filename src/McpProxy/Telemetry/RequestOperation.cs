using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using McpProxy.JsonRpc;
using McpProxy.Transports.StreamableHttp;

namespace McpProxy.Telemetry;

/// <summary>
/// One request of a client on its way through the proxy, as measurements and traces see it: the span of the request, and in it
/// that of its way to the server and back. Costs nothing while nobody listens.
/// </summary>
[StructLayout(LayoutKind.Auto)]
internal readonly struct RequestOperation
{
    private static readonly ActivitySource s_source = new(ProxyTelemetry.ActivitySourceName, typeof(RequestOperation).Assembly.GetName().Version?.ToString(3) ?? "");

    private readonly TimeProvider? _time;
    private readonly string _method;
    private readonly long _started;
    private readonly Activity? _server;
    private readonly Activity? _client;

    private RequestOperation(TimeProvider time, long started, string method, Activity? server, Activity? client)
    {
        _time = time;
        _method = method;
        _started = started;
        _server = server;
        _client = client;
    }

    /// <summary>Whether anybody wants the spans.</summary>
    public static bool AreTraced => s_source.HasListeners();

    /// <summary>Begins an operation. The span to the server is the current one until the caller's asynchronous flow ends.</summary>
    /// <param name="request">The request.</param>
    /// <param name="time">The clock.</param>
    /// <param name="now">What time it is there.</param>
    public static RequestOperation Begin(in JsonRpcMessage request, TimeProvider time, long now)
    {
        var traces = AreTraced;
        if (!traces && !ProxyMeter.MeasuresRequests)
        {
            return default;
        }

        var method = McpMethodName.Of(request.Method);
        var server = traces ? StartServer(request, method) : null;
        return new(time, now, method, server, server is null ? null : StartClient(server));
    }

    /// <summary>The server has answered; the answer is on its way to the client.</summary>
    public void Answered(in JsonRpcMessage answer)
    {
        if (_time is null)
        {
            return;
        }

        var errorType = answer.IsError ? ErrorType(answer.ErrorCode()) : null;
        ProxyMeter.ClientOperation(_method, errorType, _time.GetElapsedTime(_started));
        End(_client, answer, _method);
    }

    /// <summary>The client has its answer.</summary>
    public void End(in JsonRpcMessage answer)
    {
        if (_time is null)
        {
            return;
        }

        var errorType = answer.IsError ? ErrorType(answer.ErrorCode()) : null;
        Measure(answer.IsError ? RequestOutcome.Error : RequestOutcome.Ok, errorType);
        End(_server, answer, _method);
    }

    /// <summary>There is no answer of the server.</summary>
    public void End(RequestOutcome outcome)
    {
        if (_time is null)
        {
            return;
        }

        var word = ProxyMeter.Word(outcome);
        Measure(outcome, word);
        End(_client, word);
        End(_server, word);
    }

    private void Measure(RequestOutcome outcome, string? errorType)
    {
        ProxyMeter.Request(_method, outcome);
        ProxyMeter.ServerOperation(_method, errorType, _time!.GetElapsedTime(_started));
    }

    private static Activity? StartServer(in JsonRpcMessage request, string method)
    {
        // What the message itself says wins: the HTTP request that carries it may be a gateway's.
        var meta = request.Params.Span.IndexOf("traceparent"u8) < 0 ? default : request.Meta();
        ActivityContext parent = default;
        if (JsonMembers.AsString(JsonMembers.Find(meta, "traceparent"u8)) is { } said
            && ActivityContext.TryParse(said, JsonMembers.AsString(JsonMembers.Find(meta, "tracestate"u8)), isRemote: true, out var own))
        {
            parent = own;
        }
        else if (Activity.Current is null && TraceContext.Incoming is { } incoming && ActivityContext.TryParse(incoming.Parent, incoming.State, isRemote: true, out var received))
        {
            parent = received;
        }

        var name = RequestMetadata.NameOf(request);
        var activity = s_source.StartActivity(name is null || method == "resources/read" ? method : $"{method} {name}", ActivityKind.Server, parent);
        if (activity is not { IsAllDataRequested: true })
        {
            return activity;
        }

        activity.SetTag(ProxyMeter.MethodKey, method == McpMethodName.Other ? Encoding.UTF8.GetString(request.Method) : method);
        activity.SetTag("jsonrpc.request.id", request.Id.Kind == JsonRpcIdKind.String ? JsonMembers.AsString(request.Id.Utf8Text) : request.Id.ToString());
        if (JsonMembers.AsString(request.ProtocolVersion()) is { } version)
        {
            activity.SetTag("mcp.protocol.version", version);
        }

        switch (method)
        {
            case "tools/call":
                activity.SetTag("gen_ai.operation.name", "execute_tool");
                activity.SetTag("gen_ai.tool.name", name);
                break;
            case "prompts/get":
                activity.SetTag("gen_ai.prompt.name", name);
                break;
        }

        return activity;
    }

    private static Activity? StartClient(Activity server)
    {
        var activity = s_source.StartActivity(server.OperationName, ActivityKind.Client);
        if (activity is { IsAllDataRequested: true })
        {
            foreach (var (key, value) in server.TagObjects)
            {
                activity.SetTag(key, value);
            }
        }

        return activity;
    }

    private static void End(Activity? activity, in JsonRpcMessage answer, string method)
    {
        if (activity is { IsAllDataRequested: true })
        {
            if (answer.IsError)
            {
                var code = answer.ErrorCode()?.ToString(System.Globalization.CultureInfo.InvariantCulture);
                activity.SetTag("rpc.response.status_code", code);
                activity.SetTag(ProxyMeter.ErrorTypeKey, code ?? "error");
                activity.SetStatus(ActivityStatusCode.Error);
            }
            else if (method == "tools/call" && JsonMembers.Find(answer.Result, "isError"u8).Span.SequenceEqual("true"u8))
            {
                activity.SetTag(ProxyMeter.ErrorTypeKey, "tool_error");
                activity.SetStatus(ActivityStatusCode.Error);
            }
        }

        activity?.Stop();
    }

    private static void End(Activity? activity, string errorType)
    {
        if (activity is { IsAllDataRequested: true })
        {
            activity.SetTag(ProxyMeter.ErrorTypeKey, errorType);
            activity.SetStatus(ActivityStatusCode.Error);
        }

        activity?.Stop();
    }

    /// <summary>A code as a label: servers may use any number, of which only the common ones are told apart.</summary>
    private static string ErrorType(int? code) => code switch
    {
        -32700 => "-32700",
        -32600 => "-32600",
        -32601 => "-32601",
        -32602 => "-32602",
        -32603 => "-32603",
        -32000 => "-32000",
        -32001 => "-32001",
        -32002 => "-32002",
        JsonRpcErrorCode.SignInNeeded => "-32010",
        JsonRpcErrorCode.HeaderMismatch => "-32020",
        JsonRpcErrorCode.MissingClientCapability => "-32021",
        JsonRpcErrorCode.UnsupportedProtocolVersion => "-32022",
        _ => "error",
    };
}
