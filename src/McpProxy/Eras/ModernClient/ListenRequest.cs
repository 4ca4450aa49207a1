using System.Text;
using McpProxy.JsonRpc;

namespace McpProxy.Eras.ModernClient;

/// <summary>A modern client's <c>subscriptions/listen</c>, as far as a legacy server can serve it.</summary>
internal sealed class ListenRequest
{
    private static readonly (string Capability, string Filter, string Method)[] s_kinds =
    [
        ("tools", "toolsListChanged", "notifications/tools/list_changed"),
        ("prompts", "promptsListChanged", "notifications/prompts/list_changed"),
        ("resources", "resourcesListChanged", "notifications/resources/list_changed"),
    ];

    private readonly HashSet<string> _methods = new(StringComparer.Ordinal);
    private readonly ClientRequest _request;

    /// <param name="request">The client's request.</param>
    /// <param name="capabilities">JSON text of the server's capabilities.</param>
    public ListenRequest(ClientRequest request, ReadOnlyMemory<byte> capabilities)
    {
        _request = request;
        var wanted = JsonMembers.Find(request.Message.Params, "notifications"u8);
        foreach (var (capability, filter, method) in s_kinds)
        {
            if (IsTrue(wanted, filter) && IsTrue(JsonMembers.Find(capabilities, Encoding.UTF8.GetBytes(capability)), "listChanged"))
            {
                _methods.Add(method);
            }
        }

        var uris = JsonMembers.Find(wanted, "resourceSubscriptions"u8);
        if (IsTrue(JsonMembers.Find(capabilities, "resources"u8), "subscribe") && uris.Span is [(byte)'[', ..] && JsonRpcMessage.TrySplitBatch(uris, out var items, out _))
        {
            Uris.UnionWith(items.Select(JsonMembers.AsString).OfType<string>());
        }
    }

    /// <summary>Whether a request says what it wants to listen to.</summary>
    public static bool IsValid(in JsonRpcMessage request)
    {
        var wanted = JsonMembers.Find(request.Params, "notifications"u8);
        var uris = JsonMembers.Find(wanted, "resourceSubscriptions"u8);
        return wanted.Span is [(byte)'{', ..] && uris.Span is [] or [(byte)'[', ..];
    }

    /// <summary>The resources to watch, which the server may turn out not to let be watched.</summary>
    public HashSet<string> Uris { get; } = new(StringComparer.Ordinal);

    /// <summary>Whether the client was told that it is listened to; nothing may be told before that.</summary>
    public bool IsAcknowledged { get; set; }

    /// <summary>Whether the client wants to be told of a change.</summary>
    public bool Wants(string method) => IsAcknowledged && _methods.Contains(method);

    /// <summary>Whether the client wants to be told of a resource: the one itself, or one below it (MCP 2025-11-25, "Subscriptions").</summary>
    public bool WantsResource(string uri) =>
        IsAcknowledged && (Uris.Contains(uri) || Uris.Any(watched => uri.StartsWith(watched.EndsWith('/') ? watched : watched + "/", StringComparison.Ordinal)));

    /// <summary>Tells the client what it will be told of.</summary>
    public void Acknowledge()
    {
        var granted = new ObjectEdit(default);
        foreach (var (_, filter, method) in s_kinds)
        {
            if (_methods.Contains(method))
            {
                granted.Set(filter, "true"u8.ToArray());
            }
        }

        if (Uris.Count > 0)
        {
            granted.Set("resourceSubscriptions", Encoding.UTF8.GetBytes($"[{string.Join(',', Uris.Select(uri => Encoding.UTF8.GetString(ObjectEdit.Quoted(uri))))}]"));
        }

        var parameters = Tagged(default).Set("notifications", granted.ToUtf8());
        _request.Notify(MessageEdit.Notification("\"notifications/subscriptions/acknowledged\""u8, parameters.ToUtf8().Span));
    }

    /// <summary>Tells the client of a change.</summary>
    public void Notify(JsonRpcMessage notification) => _request.Notify(MessageEdit.WithParams(notification, Tagged(notification.Params)));

    /// <summary>Ends the stream in order (MCP 2026-07-28, "Graceful Closure").</summary>
    public Task CloseAsync() => _request.AnswerAsync(MessageEdit.Result(
        _request.Id, Tagged(default).Set("resultType", "\"complete\""u8.ToArray()).ToUtf8().Span));

    private static bool IsTrue(ReadOnlyMemory<byte> holder, string name) => JsonMembers.Find(holder, Encoding.UTF8.GetBytes(name)).Span.SequenceEqual("true"u8);

    /// <summary>An object whose <c>_meta</c> names the subscription.</summary>
    private ObjectEdit Tagged(ReadOnlyMemory<byte> holder)
    {
        var edit = new ObjectEdit(holder);
        return edit.Set("_meta", new ObjectEdit(edit.Find("_meta")).Set(MetaKey.SubscriptionId, _request.Id.Utf8Text).ToUtf8());
    }
}
