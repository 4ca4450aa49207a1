using System.Text.Json.Nodes;
using McpProxy.TestServer.Tools;
using Microsoft.Extensions.DependencyInjection;
using ModelContextProtocol.Protocol;
using ModelContextProtocol.Server;

namespace McpProxy.TestServer;

/// <summary>What the server offers, whatever its transport.</summary>
internal static class PeerContent
{
    public const string Name = "mcp-test-server";
    public const string Version = "1.2.3";
    public const string Instructions = "A peer for tests. Ünïcode ✓";

    public static IMcpServerBuilder AddTo(IServiceCollection services, Era era)
    {
        services.AddSingleton<Rendezvous>().AddSingleton<Watchers>();

        // What no proxy can know by name has to cross it all the same.
        services.AddOptions<McpServerOptions>().Configure<Rendezvous>((options, rendezvous) =>
        {
            options.RequestHandlers = [new() { Method = "test/echo", Handler = (request, _) => new(new JsonObject { ["echo"] = request.Params?["value"]?.DeepClone() }) }];
            options.Handlers.NotificationHandlers = [new("notifications/test", (notification, _) =>
            {
                rendezvous.Arrive(Rendezvous.Started(notification.Params!["key"]!.GetValue<string>()));
                return ValueTask.CompletedTask;
            })];
        });
        return services
            .AddMcpServer(options =>
            {
                options.ServerInfo = new() { Name = Name, Version = Version };
                options.ServerInstructions = Instructions;
                options.ProtocolVersion = era switch
                {
                    Era.Legacy => "2025-11-25",
                    Era.Modern => "2026-07-28",
                    _ => null,
                };
                options.Capabilities = new()
                {
                    Tools = new() { ListChanged = true },
                    Resources = new() { Subscribe = true, ListChanged = true },
                    Prompts = new() { ListChanged = true },
                    Logging = new(),
                };
            })
            .WithTools<CallTools>()
            .WithTools<ProcessTools>()
            .WithTools<QuestionTools>()
            .WithTools<NotificationTools>()
            .WithResources<Resources>()
            .WithPrompts<Prompts>()
            .WithCompleteHandler((request, _) => ValueTask.FromResult(Complete(request.Params!.Argument.Value)))
            .WithSubscribeToResourcesHandler((request, _) => ValueTask.FromResult(Watchers(request.Services).Subscribe(request)))
            .WithUnsubscribeFromResourcesHandler((request, _) => ValueTask.FromResult(Watchers(request.Services).Unsubscribe(request)))
            .WithSubscriptionsListenHandler((request, cancellationToken) => new(Watchers(request.Services).ListenAsync(request, cancellationToken)));
    }

    private static Watchers Watchers(IServiceProvider? services) => services!.GetRequiredService<Watchers>();

    private static CompleteResult Complete(string typed) => new()
    {
        Completion = new() { Values = [.. new[] { "Ada", "Adele", "Grace" }.Where(name => name.StartsWith(typed, StringComparison.Ordinal))] },
    };
}
