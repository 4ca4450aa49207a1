using System.ComponentModel;
using System.Text.Json;
using ModelContextProtocol;
using ModelContextProtocol.Protocol;
using ModelContextProtocol.Server;

namespace McpProxy.TestServer.Tools;

/// <summary>Tools that notify.</summary>
[McpServerToolType]
internal sealed class NotificationTools(Rendezvous rendezvous, Watchers watchers)
{
    [McpServerTool(Name = "progress")]
    [Description("Notifies of progress a number of times, then answers.")]
    public static async Task<string> ProgressAsync(RequestContext<CallToolRequestParams> context, int count, CancellationToken cancellationToken)
    {
        // Awaited one by one: the SDK's IProgress sends without waiting, in no certain order.
        for (var i = 1; i <= count; i++)
        {
            await context.Server.NotifyProgressAsync(
                context.Params!.ProgressToken!.Value, new ProgressNotificationValue { Progress = i, Total = count, Message = $"step {i}" }, cancellationToken: cancellationToken);
        }

        return $"{count} steps done";
    }

    [McpServerTool(Name = "log")]
    [Description("Logs a message a number of times, at a level the client has asked for.")]
    public static async Task<string> LogAsync(RequestContext<CallToolRequestParams> context, string text, int count, CancellationToken cancellationToken)
    {
        var level = context.JsonRpcRequest.Context?.LogLevel ?? context.Server.LoggingLevel;
        for (var i = 1; level is not null && i <= count; i++)
        {
            await context.Server.SendNotificationAsync(
                NotificationMethods.LoggingMessageNotification,
                new LoggingMessageNotificationParams { Level = level.Value, Logger = "test", Data = JsonSerializer.SerializeToElement($"{text} {i}") },
                cancellationToken: cancellationToken);
        }

        return level is null ? "nobody listens" : $"logged at {level}";
    }

    [McpServerTool(Name = "await_stream")]
    [Description("Whether the session's own stream is open, where a session has one; gives it some seconds.")]
    public async Task<bool> AwaitStreamAsync(RequestContext<CallToolRequestParams> context, CancellationToken cancellationToken)
    {
        // Only sessions of Streamable HTTP have an id and a stream that may come late.
        var hasLateStream = context.Server.SessionId is { } && context.JsonRpcRequest.Context?.RelatedTransport is not null;
        return !hasLateStream || await rendezvous.MeetAsync(Rendezvous.StreamOf(context.Server.SessionId!), cancellationToken);
    }

    [McpServerTool(Name = "change")]
    [Description("Adds a tool of this name, and says that a resource was updated.")]
    public async Task<string> ChangeAsync(RequestContext<CallToolRequestParams> context, string name, string uri, CancellationToken cancellationToken)
    {
        context.Server.ServerOptions.ToolCollection!.Add(McpServerTool.Create(() => name, new() { Name = name, Description = "Added while the server runs." }));
        await watchers.ToolsChangedAsync(cancellationToken);
        await watchers.ResourceUpdatedAsync(uri, cancellationToken);
        return "changed";
    }
}
