using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using ModelContextProtocol;
using ModelContextProtocol.Protocol;
using ModelContextProtocol.Server;

namespace McpProxy.TestServer;

/// <summary>Who wants to hear of changes: the resource subscriptions of legacy sessions, and the listen streams of modern clients.</summary>
internal sealed class Watchers(Rendezvous rendezvous)
{
    private readonly ConcurrentDictionary<(string Session, string Uri), McpServer> _subscriptions = new();
    private readonly ConcurrentDictionary<Listener, byte> _listeners = new();

    /// <summary>Serves <c>resources/subscribe</c>.</summary>
    public EmptyResult Subscribe(RequestContext<SubscribeRequestParams> request)
    {
        // This server object sends on the response of the subscribing request, and on the session's own stream once that is over.
        _subscriptions[(request.Server.SessionId ?? "", request.Params!.Uri)] = request.Server;
        return new();
    }

    /// <summary>Serves <c>resources/unsubscribe</c>.</summary>
    public EmptyResult Unsubscribe(RequestContext<UnsubscribeRequestParams> request)
    {
        _subscriptions.TryRemove((request.Server.SessionId ?? "", request.Params!.Uri), out _);
        return new();
    }

    /// <summary>Serves <c>subscriptions/listen</c>: the SDK's own handler grants nothing where there are no sessions.</summary>
    public async Task<EmptyResult> ListenAsync(RequestContext<SubscriptionsListenRequestParams> request, CancellationToken cancellationToken)
    {
        var wanted = request.Params!.Notifications;
        var listener = new Listener(request.Server, request.JsonRpcRequest.Id, wanted);
        await listener.SendAsync(
            NotificationMethods.SubscriptionsAcknowledgedNotification,
            new JsonObject { ["notifications"] = System.Text.Json.JsonSerializer.SerializeToNode(wanted, McpJsonUtilities.DefaultOptions) },
            cancellationToken);
        _listeners.TryAdd(listener, 0);
        try
        {
            await Task.Delay(Timeout.Infinite, cancellationToken);
        }
        finally
        {
            _listeners.TryRemove(listener, out _);
            foreach (var uri in wanted.ResourceSubscriptions ?? [])
            {
                rendezvous.Arrive(Rendezvous.Cancelled(uri));
            }
        }

        return new();
    }

    /// <summary>Tells everyone who subscribed to a resource that it has changed.</summary>
    public async Task ResourceUpdatedAsync(string uri, CancellationToken cancellationToken)
    {
        foreach (var ((_, subscribed), server) in _subscriptions)
        {
            if (subscribed == uri)
            {
                await server.SendNotificationAsync(
                    NotificationMethods.ResourceUpdatedNotification, new ResourceUpdatedNotificationParams { Uri = uri }, cancellationToken: cancellationToken);
            }
        }

        foreach (var listener in _listeners.Keys.Where(listener => listener.Wanted.ResourceSubscriptions?.Contains(uri) == true))
        {
            await listener.SendAsync(NotificationMethods.ResourceUpdatedNotification, new() { ["uri"] = uri }, cancellationToken);
        }
    }

    /// <summary>Tells modern listeners that the tools have changed; legacy sessions hear it from the SDK.</summary>
    public async Task ToolsChangedAsync(CancellationToken cancellationToken)
    {
        foreach (var listener in _listeners.Keys.Where(listener => listener.Wanted.ToolsListChanged == true))
        {
            await listener.SendAsync(NotificationMethods.ToolListChangedNotification, [], cancellationToken);
        }
    }

    private sealed record Listener(McpServer Server, RequestId Id, SubscriptionsListenNotifications Wanted)
    {
        public Task SendAsync(string method, JsonObject parameters, CancellationToken cancellationToken)
        {
            parameters["_meta"] = new JsonObject { [MetaKeys.SubscriptionId] = System.Text.Json.JsonSerializer.SerializeToNode(Id, McpJsonUtilities.DefaultOptions) };
            return Server.SendMessageAsync(new JsonRpcNotification { Method = method, Params = parameters }, cancellationToken);
        }
    }
}
