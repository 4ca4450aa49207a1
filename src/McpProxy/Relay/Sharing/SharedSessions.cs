using System.Text;
using McpProxy.JsonRpc;
using Microsoft.Extensions.Logging;

namespace McpProxy.Relay.Sharing;

/// <summary>
/// What makes one session with a legacy server look like a session of its own to each of several clients: one initialisation, and log
/// levels, subscriptions and the server's own requests kept apart.
/// </summary>
/// <param name="shared">The connection to the server.</param>
/// <param name="ownInitialize">What the proxy initialises the server with by itself; null to use what the first client sends.</param>
/// <param name="logger">Where it logs.</param>
internal sealed partial class SharedSessions(SharedConnection shared, JsonRpcMessage? ownInitialize, ILogger logger)
{
    private static readonly JsonRpcMessage s_initialized = JsonSplice.Reparse("""{"jsonrpc":"2.0","method":"notifications/initialized"}"""u8.ToArray());

    private readonly SharedSubscriptions _subscriptions = new();
    private readonly SharedLogLevels _levels = new();
    private readonly SharedQuestions _questions = new();
    private readonly Lock _gate = new();

    /// <summary>The clients that were introduced, with the capabilities that they declared.</summary>
    private readonly Dictionary<SharedLane, ReadOnlyMemory<byte>> _lanes = [];
    private Task<JsonRpcMessage>? _introduction;
    private bool _hasInitialized;

    /// <summary>Whether the proxy initialises the server by itself.</summary>
    public bool IntroducesItself => ownInitialize is not null;

    /// <summary>Makes sure that the server is initialised, where the proxy does that by itself.</summary>
    /// <returns>The server's refusal; null when it is ready.</returns>
    public ValueTask<JsonRpcMessage?> IntroduceAsync(CancellationToken cancellationToken) =>
        ownInitialize is { } initialize ? IntroduceAsync(initialize, cancellationToken) : default;

    private async ValueTask<JsonRpcMessage?> IntroduceAsync(JsonRpcMessage initialize, CancellationToken cancellationToken)
    {
        var answer = await IntroductionAsync(initialize).WaitAsync(cancellationToken);
        return answer.IsError ? answer : null;
    }

    /// <summary>Answers a client's request from what is known, if that is possible.</summary>
    /// <param name="lane">The client.</param>
    /// <param name="request">The request.</param>
    /// <param name="answered">To be told the server's answer to it, if it is passed on.</param>
    /// <returns>Whether it is or will be answered here.</returns>
    public bool Answers(SharedLane lane, JsonRpcMessage request, out Action<JsonRpcMessage>? answered)
    {
        answered = null;
        if (request.Is("initialize"u8))
        {
            _ = IntroduceAsync(lane, request.Detach());
            return true;
        }

        if (request.Is("logging/setLevel"u8) && SharedLogLevels.LevelOf(request) is { } level)
        {
            _ = SetLevelAsync(lane, request.Id.Detach(), level);
            return true;
        }

        if (request.Is("tasks/list"u8))
        {
            Reply(lane, JsonRpcWriter.Error(request.Id, JsonRpcErrorCode.MethodNotFound, "Method not found: the server is shared, and the list would show the tasks of all its clients"));
            return true;
        }

        if (ownInitialize is null && request.Method.StartsWith("tasks/"u8) && JsonMembers.AsString(JsonMembers.Find(request.Params, "taskId"u8)) is { } task && _questions.Named(task) != lane)
        {
            Reply(lane, JsonRpcWriter.Error(request.Id, JsonRpcErrorCode.InvalidParams, "Invalid params: this client has no such task"));
            return true;
        }

        if (request.Is("resources/subscribe"u8) && UriOf(request) is { } wanted)
        {
            if (!_subscriptions.TryAdd(lane, wanted))
            {
                Reply(lane, JsonRpcWriter.Error(request.Id, JsonRpcErrorCode.UpstreamUnavailable, "too many subscriptions"));
                return true;
            }

            answered = UnlessRefused(lane, wanted);
        }
        else if (request.Is("resources/unsubscribe"u8) && UriOf(request) is { } unwanted && !_subscriptions.Remove(lane, unwanted))
        {
            // Others are still subscribed.
            Reply(lane, EmptyResult(request.Id));
            return true;
        }

        return false;
    }

    /// <summary>Apart from where it is used: what it refers to is made with the method that it stands in, each time.</summary>
    private Action<JsonRpcMessage> UnlessRefused(SharedLane lane, string uri) => answer =>
    {
        if (answer.IsError)
        {
            _subscriptions.Remove(lane, uri);
        }
    };

    /// <summary>Whether a client's notification may reach the server.</summary>
    public bool Passes(SharedLane lane, in JsonRpcMessage notification)
    {
        if (notification.Is("notifications/initialized"u8))
        {
            lock (_gate)
            {
                return !_hasInitialized && (_hasInitialized = true);
            }
        }

        return !notification.Is("notifications/progress"u8) || _questions.HasToken(lane, notification.ProgressToken());
    }

    /// <summary>Whether a client's response answers something that it was asked.</summary>
    public bool TakesAnswer(SharedLane lane, JsonRpcId id) => _questions.TryTake(lane, id);

    /// <summary>Sends a request of the server to the client whose call caused it.</summary>
    /// <returns>The answer that the server is owed at once; null when a client was asked.</returns>
    public JsonRpcMessage? Ask(JsonRpcMessage request, JsonRpcId related)
    {
        if (request.Is("ping"u8))
        {
            return EmptyResult(request.Id);
        }

        var (lane, call) = OwnerOf(related);
        if (lane is null)
        {
            LogUnattributable(request);
            return JsonRpcWriter.Error(
                request.Id, JsonRpcErrorCode.MethodNotFound, "the server is shared by several clients, and it cannot be told whose call this is for (--child per-session gives each client a server of its own)");
        }

        if (!CanBeAsked(lane, request))
        {
            return JsonRpcWriter.Error(request.Id, JsonRpcErrorCode.MethodNotFound, "the client whose call this is for has not declared that it can be asked this");
        }

        if (!_questions.TryAdd(lane, request))
        {
            return JsonRpcWriter.Error(request.Id, JsonRpcErrorCode.InvalidRequest, "Invalid request: a request with this id is in flight already");
        }

        if (lane.IsOver && _questions.TryTake(lane, request.Id))
        {
            // It has left while it was being looked up, and takes nothing back any more.
            return JsonRpcWriter.Error(request.Id, JsonRpcErrorCode.UpstreamUnavailable, "the client is gone");
        }

        NoteName(lane, JsonMembers.Find(request.Params, "elicitationId"u8));
        lane.Deliver(request, call);
        return null;
    }

    /// <summary>Hands a notification of the server to those whom it concerns.</summary>
    /// <returns>False when it cannot be told whom.</returns>
    public bool Notify(JsonRpcMessage notification, JsonRpcId related)
    {
        var cancelled = notification.CancelledRequest();
        if (!cancelled.IsNone)
        {
            return Deliver(_questions.Withdraw(cancelled), notification);
        }

        if (notification.Is("notifications/resources/updated"u8))
        {
            var subscribed = UriOf(notification) is { } uri ? _subscriptions.Of(uri) : [];
            subscribed.ForEach(lane => lane.Deliver(notification, default));
            return subscribed.Count > 0;
        }

        if (notification.Method.EndsWith("/list_changed"u8))
        {
            var all = Introduced();
            all.ForEach(lane => lane.Deliver(notification, default));
            return all.Count > 0;
        }

        if (notification.Is("notifications/elicitation/complete"u8))
        {
            return Deliver(Named(notification, "elicitationId"u8), notification);
        }

        if (notification.Is("notifications/tasks/status"u8))
        {
            return Deliver(Named(notification, "taskId"u8), notification);
        }

        var (owner, call) = OwnerOf(related);
        if (notification.Is("notifications/message"u8) && owner is not null && !_levels.Wants(owner, SharedLogLevels.LevelOf(notification)))
        {
            return true;
        }

        owner?.Deliver(notification, call);
        return owner is not null;
    }

    /// <summary>Learns from an answer what later notifications will only name.</summary>
    public void Learn(SharedLane lane, in JsonRpcMessage answer)
    {
        if (answer.Result.Span.IndexOf("\"taskId\""u8) >= 0)
        {
            NoteName(lane, JsonMembers.Find(answer.Result, "task"u8, "taskId"u8));
        }
        else if (answer.IsError && answer.Utf8.Span.IndexOf("\"elicitationId\""u8) >= 0
            && JsonMembers.Find(JsonMembers.Find(answer.Utf8, "error"u8, "data"u8), "elicitations"u8) is { IsEmpty: false } list && JsonRpcMessage.TrySplitBatch(list, out var elicitations, out _))
        {
            // An answer that asks the client to sign in somewhere first (MCP 2025-11-25, "URL Elicitation Required").
            elicitations.ForEach(elicitation => NoteName(lane, JsonMembers.Find(elicitation, "elicitationId"u8)));
        }
    }

    /// <summary>The server that was asking is gone, and another takes its place: who was asked need not answer, and can be asked under the same id.</summary>
    public void ServerIsGone(string reason)
    {
        foreach (var (id, lane) in _questions.Clear())
        {
            lane.Deliver(JsonRpcWriter.Cancelled(id, reason), default);
        }
    }

    /// <summary>Takes back what a client has asked of the server for itself.</summary>
    /// <returns>What to tell the server.</returns>
    public List<JsonRpcMessage> Leave(SharedLane lane)
    {
        lock (_gate)
        {
            _lanes.Remove(lane);
        }

        List<JsonRpcMessage> messages = [.. _questions.RemoveAll(lane).Select(id => JsonRpcWriter.Error(id, JsonRpcErrorCode.UpstreamUnavailable, "the client is gone"))];
        messages.AddRange(_subscriptions.RemoveAll(lane).Select(uri => shared.OwnRequest(Unsubscribe(uri))));
        if (_levels.Remove(lane) is { } level)
        {
            messages.Add(shared.OwnRequest(SharedLogLevels.Request(level)));
        }

        return messages;
    }

    private static string? UriOf(in JsonRpcMessage message) => JsonMembers.AsString(JsonMembers.Find(message.Params, "uri"u8));

    private static JsonRpcMessage EmptyResult(JsonRpcId id) => JsonSplice.Reparse((byte[])[.. "{\"jsonrpc\":\"2.0\",\"id\":"u8, .. id.Utf8Text.Span, .. ",\"result\":{}}"u8]);

    private static JsonRpcMessage Unsubscribe(string uri) => JsonSplice.Reparse((byte[])
        [.. """{"jsonrpc":"2.0","id":0,"method":"resources/unsubscribe","params":{"uri":"""u8, (byte)'"', .. Encoding.UTF8.GetBytes(System.Text.Json.JsonEncodedText.Encode(uri).Value), .. "\"}}"u8]);

    private static void Reply(SharedLane lane, JsonRpcMessage response) => lane.Deliver(response, response.Id);

    private static bool Deliver(SharedLane? lane, JsonRpcMessage message)
    {
        lane?.Deliver(message, default);
        return lane is not null;
    }

    private SharedLane? Named(in JsonRpcMessage notification, ReadOnlySpan<byte> member) =>
        JsonMembers.AsString(JsonMembers.Find(notification.Params, member)) is { } name ? _questions.Named(name) : null;

    private void NoteName(SharedLane lane, ReadOnlyMemory<byte> name)
    {
        if (JsonMembers.AsString(name) is { } text)
        {
            _questions.Name(text, lane);
        }
    }

    private List<SharedLane> Introduced()
    {
        lock (_gate)
        {
            return [.. _lanes.Keys];
        }
    }

    /// <summary>The client that the server speaks to, and which of its requests about; nobody when it could be several.</summary>
    private (SharedLane? Lane, JsonRpcId Call) OwnerOf(JsonRpcId related)
    {
        if (shared.Routes.Find(related) is { Lane: { } known } route)
        {
            return (known, route.Id);
        }

        if (shared.Routes.NewestOfOnlyClient(out var isAmbiguous) is { } newest)
        {
            return (newest.Lane, newest.Id);
        }

        return (!isAmbiguous && Introduced() is [var only] ? only : null, default);
    }

    private bool CanBeAsked(SharedLane lane, in JsonRpcMessage request)
    {
        ReadOnlyMemory<byte> capabilities;
        lock (_gate)
        {
            capabilities = _lanes.GetValueOrDefault(lane);
        }

        return request.Is("sampling/createMessage"u8) ? Has(capabilities, "sampling"u8)
            : request.Is("elicitation/create"u8) ? Has(capabilities, "elicitation"u8)
            : !request.Is("roots/list"u8) || Has(capabilities, "roots"u8);

        static bool Has(ReadOnlyMemory<byte> capabilities, ReadOnlySpan<byte> name) => !JsonMembers.Find(capabilities, name).IsEmpty;
    }

    private async Task<JsonRpcMessage> IntroductionAsync(JsonRpcMessage initialize)
    {
        Task<JsonRpcMessage> introduction;
        lock (_gate)
        {
            introduction = _introduction ??= InitializeAsync(initialize);
        }

        var answer = await introduction;
        if (answer.IsError)
        {
            lock (_gate)
            {
                // The next client may have more luck.
                _introduction = _introduction == introduction ? null : _introduction;
            }
        }

        return answer;
    }

    private async Task<JsonRpcMessage> InitializeAsync(JsonRpcMessage initialize)
    {
        var answer = await shared.AskAsync(initialize);
        if (!answer.IsError && ownInitialize is not null)
        {
            await shared.SendAsync(s_initialized, CancellationToken.None);
        }

        return answer;
    }

    private async Task IntroduceAsync(SharedLane lane, JsonRpcMessage request)
    {
        var answer = await IntroductionAsync(ownInitialize ?? request);
        if (!answer.IsError)
        {
            lock (_gate)
            {
                _lanes[lane] = JsonMembers.Find(request.Params, "capabilities"u8);
                if (lane.IsOver)
                {
                    _lanes.Remove(lane);
                }
            }
        }

        Reply(lane, JsonSplice.WithId(answer, request.Id));
    }

    private async Task SetLevelAsync(SharedLane lane, JsonRpcId id, int level)
    {
        var answer = await shared.AskAsync(SharedLogLevels.Request(_levels.Set(lane, level)));
        if (answer.IsError)
        {
            _levels.Remove(lane);
        }

        Reply(lane, JsonSplice.WithId(answer, id));
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The shared server asks a client, and it cannot be told which: {Message}")]
    private partial void LogUnattributable(JsonRpcMessage message);
}
