using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;
using ModelContextProtocol.Protocol;

namespace McpProxy.EndToEnd.Tests.Matrix;

/// <summary>Notifications, both ways.</summary>
public sealed class NotificationTests(ITestOutputHelper output, Cells cells) : MatrixTest(output, cells)
{
    private const int Count = 25;

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Progress_arrives_in_order_before_the_answer(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);
        var token = TestClient.NewKey("progress");

        var result = await client.CallAsync("progress", new { count = Count }, new() { ["progressToken"] = token });

        result.Content.OfType<TextContentBlock>().Single().Text.ShouldBe($"{Count} steps done");
        UpToAnswer(client, NotificationMethods.ProgressNotification, parameters => parameters["progressToken"]!.GetValue<string>() == token, $"{Count} steps done")
            .Select(parameters => parameters["progress"]!.GetValue<int>())
            .ShouldBe(Enumerable.Range(1, Count));
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Log_messages_arrive_in_order_before_the_answer(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);
        var text = TestClient.NewKey("log");
        JsonObject? meta = null;
        if (era == Era.Legacy)
        {
            await client.Sdk.SetLoggingLevelAsync(LoggingLevel.Debug).Within("logging/setLevel");
        }
        else
        {
            meta = new() { [RecordingTransport.LogLevelPlaceholder] = "debug" };
        }

        var result = await client.CallAsync("log", new { text, count = Count }, meta);

        result.Content.OfType<TextContentBlock>().Single().Text.ShouldBe("logged at Debug");
        UpToAnswer(client, NotificationMethods.LoggingMessageNotification, parameters => parameters["data"]!.GetValue<string>().StartsWith($"{text} ", StringComparison.Ordinal), "logged at Debug")
            .Select(parameters => parameters["data"]!.GetValue<string>())
            .ShouldBe(Enumerable.Range(1, Count).Select(i => $"{text} {i}"));
    }

    [Theory]
    [MemberData(nameof(Cells.AllOf), Era.Legacy, MemberType = typeof(Cells))]
    public async Task Notification_of_the_client_reaches_the_server(Transport downstream, Transport upstream)
    {
        var client = await OpenAsync(downstream, upstream, Era.Legacy, Era.Legacy);
        var key = TestClient.NewKey("notified");

        await client.Sdk.SendNotificationAsync("notifications/test", new JsonObject { ["key"] = key }).Within("notifications/test");

        (await client.TextAsync("has_started", new { key })).ShouldBe("true");
    }

    [Theory]
    [MemberData(nameof(Cells.AllOf), Era.Legacy, MemberType = typeof(Cells))]
    public async Task Changes_reach_a_session(Transport downstream, Transport upstream)
    {
        var client = await OpenAsync(downstream, upstream, Era.Legacy, Era.Legacy);
        var name = TestClient.NewKey("added");
        var watched = $"test://item/{TestClient.NewKey("watched")}";
        var left = $"test://item/{TestClient.NewKey("left")}";
        (await client.TextAsync("await_stream")).ShouldBe("true");
        await client.Sdk.SubscribeToResourceAsync(watched).Within("resources/subscribe");
        await client.Sdk.SubscribeToResourceAsync(left).Within("resources/subscribe");
        await client.Sdk.UnsubscribeFromResourceAsync(left).Within("resources/unsubscribe");
        var before = client.Notifications(NotificationMethods.ToolListChangedNotification).Count();

        await client.TextAsync("change", new { name, uri = left });
        await client.TextAsync("change", new { name = $"{name}-2", uri = watched });

        await client.NotificationAsync(NotificationMethods.ResourceUpdatedNotification, parameters => UriOf(parameters) == watched);
        await client.NotificationAsync(NotificationMethods.ToolListChangedNotification, _ => client.Notifications(NotificationMethods.ToolListChangedNotification).Count() >= before + 2);
        client.Notifications(NotificationMethods.ResourceUpdatedNotification).Count(notification => UriOf(notification.Params) == left).ShouldBe(0, "the client had unsubscribed");
        (await client.Sdk.ListToolsAsync().Within("tools/list")).Select(tool => tool.Name).ShouldContain(name);
    }

    [Theory]
    [MemberData(nameof(Cells.AllOf), Era.Modern, MemberType = typeof(Cells))]
    public async Task Changes_reach_a_listener(Transport downstream, Transport upstream)
    {
        var client = await OpenAsync(downstream, upstream, Era.Modern, Era.Modern);
        var name = TestClient.NewKey("added");
        var watched = $"test://item/{TestClient.NewKey("watched")}";
        var id = TestClient.NewKey("listen");
        using var stop = new CancellationTokenSource();

        var listening = client.ListenAsync(id, watched, stop.Token);
        var acknowledged = await client.NotificationAsync(NotificationMethods.SubscriptionsAcknowledgedNotification, IsOurs);
        acknowledged.Params!["notifications"]!["toolsListChanged"]!.GetValue<bool>().ShouldBeTrue();

        await client.TextAsync("change", new { name, uri = "test://item/another" });
        await client.TextAsync("change", new { name = $"{name}-2", uri = watched });

        await client.NotificationAsync(NotificationMethods.ResourceUpdatedNotification, parameters => IsOurs(parameters) && UriOf(parameters) == watched);
        await client.NotificationAsync(NotificationMethods.ToolListChangedNotification, IsOurs);
        client.Notifications(NotificationMethods.ResourceUpdatedNotification).Count(notification => IsOurs(notification.Params)).ShouldBe(1, "one resource was watched, and changed once");
        listening.IsCompleted.ShouldBeFalse();

        await client.CancelAsync(new(id), stop, byHangingUp: downstream == Transport.StreamableHttp);

        await Should.ThrowAsync<OperationCanceledException>(() => listening.Within("the end of the listen request"));
        (await client.TextAsync("was_cancelled", new { key = watched })).ShouldBe("true");

        bool IsOurs(JsonNode? parameters) => TestClient.SubscriptionOf(parameters) == id;
    }

    private static string? UriOf(JsonNode? parameters) => parameters?["uri"]?.GetValue<string>();

    /// <summary>The parameters of the notifications that arrived before the answer with this text.</summary>
    private static IEnumerable<JsonNode> UpToAnswer(TestClient client, string method, Predicate<JsonNode> isWanted, string answer)
    {
        var received = client.Received.ToList();
        var first = received.FindIndex(message => message is JsonRpcNotification notification && notification.Method == method && isWanted(notification.Params!));
        first.ShouldBeGreaterThanOrEqualTo(0, $"no {method} arrived");
        var end = received.FindIndex(first, message => message is JsonRpcResponse { Result: { } result } && result["content"]?[0]?["text"]?.GetValue<string>() == answer);
        return received.Take(end).OfType<JsonRpcNotification>().Where(notification => notification.Method == method && isWanted(notification.Params!)).Select(notification => notification.Params!);
    }
}
