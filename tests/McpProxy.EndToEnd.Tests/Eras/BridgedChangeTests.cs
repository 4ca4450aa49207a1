using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Matrix;
using McpProxy.EndToEnd.Tests.Programs;
using ModelContextProtocol.Protocol;

namespace McpProxy.EndToEnd.Tests.Eras;

/// <summary>Changes, which the eras tell of in different ways.</summary>
public sealed class BridgedChangeTests(ITestOutputHelper output, Cells cells) : MatrixTest(output, cells)
{
    [Theory]
    [MemberData(nameof(Cells.Between), Era.Legacy, Era.Modern, MemberType = typeof(Cells))]
    public async Task Changes_of_a_modern_server_reach_a_session(Transport downstream, Transport upstream)
    {
        var client = await OpenAsync(downstream, upstream, Era.Legacy, Era.Modern);
        var name = TestClient.NewKey("added");
        var watched = $"test://item/{TestClient.NewKey("watched")}";
        var left = $"test://item/{TestClient.NewKey("left")}";
        await client.Sdk.SubscribeToResourceAsync(watched).Within("resources/subscribe");
        await client.Sdk.SubscribeToResourceAsync(left).Within("resources/subscribe");
        await client.Sdk.UnsubscribeFromResourceAsync(left).Within("resources/unsubscribe");
        var before = client.Notifications(NotificationMethods.ToolListChangedNotification).Count();

        await client.TextAsync("change", new { name, uri = left });
        await client.TextAsync("change", new { name = $"{name}-2", uri = watched });

        var updated = await client.NotificationAsync(NotificationMethods.ResourceUpdatedNotification, parameters => UriOf(parameters) == watched);
        TestClient.SubscriptionOf(updated.Params).ShouldBeNull();
        await client.NotificationAsync(NotificationMethods.ToolListChangedNotification, _ => client.Notifications(NotificationMethods.ToolListChangedNotification).Count() >= before + 2);
        client.Notifications(NotificationMethods.ResourceUpdatedNotification).Count(notification => UriOf(notification.Params) == left).ShouldBe(0, "the client had unsubscribed");
    }

    [Theory]
    [MemberData(nameof(Cells.Between), Era.Modern, Era.Legacy, MemberType = typeof(Cells))]
    public async Task Changes_of_a_legacy_server_reach_a_listener(Transport downstream, Transport upstream)
    {
        var client = await OpenAsync(downstream, upstream, Era.Modern, Era.Legacy);
        var name = TestClient.NewKey("added");
        var watched = $"test://item/{TestClient.NewKey("watched")}";
        var id = TestClient.NewKey("listen");
        using var stop = new CancellationTokenSource();
        (await client.TextAsync("await_stream")).ShouldBe("true");

        var listening = client.ListenAsync(id, watched, stop.Token);
        var acknowledged = await client.NotificationAsync(NotificationMethods.SubscriptionsAcknowledgedNotification, IsOurs);
        acknowledged.Params!["notifications"]!["toolsListChanged"]!.GetValue<bool>().ShouldBeTrue();
        acknowledged.Params["notifications"]!["resourceSubscriptions"]![0]!.GetValue<string>().ShouldBe(watched);

        await client.TextAsync("change", new { name, uri = "test://item/another" });
        await client.TextAsync("change", new { name = $"{name}-2", uri = watched });

        await client.NotificationAsync(NotificationMethods.ResourceUpdatedNotification, parameters => IsOurs(parameters) && UriOf(parameters) == watched);
        await client.NotificationAsync(NotificationMethods.ToolListChangedNotification, IsOurs);
        client.Notifications(NotificationMethods.ResourceUpdatedNotification).Count(notification => IsOurs(notification.Params)).ShouldBe(1, "one resource was watched, and changed once");
        listening.IsCompleted.ShouldBeFalse();

        await client.CancelAsync(new(id), stop, byHangingUp: downstream == Transport.StreamableHttp);

        await Should.ThrowAsync<OperationCanceledException>(() => listening.Within("the end of the listen request"));

        bool IsOurs(JsonNode? parameters) => TestClient.SubscriptionOf(parameters) == id;
    }

    private static string? UriOf(JsonNode? parameters) => parameters?["uri"]?.GetValue<string>();
}
