using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.Clients;
using ModelContextProtocol.Protocol;

namespace McpProxy.EndToEnd.Tests.Sessions;

/// <summary>The official SDK's clients, several on one child of the official SDK's server (<c>--child shared</c>).</summary>
public sealed class SharedChildTests(ITestOutputHelper output) : ServingTest(output)
{
    [Theory]
    [InlineData(Transport.StreamableHttp)]
    [InlineData(Transport.Sse)]
    public async Task Clients_of_all_transports_use_one_child(Transport transport)
    {
        var proxy = Serve("--child", "shared");
        var (first, second) = (await ConnectAsync(proxy), await ConnectAsync(proxy, transport));

        (await ServerOfAsync(second)).ShouldBe(await ServerOfAsync(first));
        (await first.TextAsync("elicit")).ShouldBe(TestClient.UserName);
        (await second.TextAsync("roots")).ShouldBe(string.Join(' ', TestClient.RootUris));
    }

    [Fact]
    public async Task Progress_reaches_the_caller_alone()
    {
        var proxy = Serve("--child", "shared");
        var (first, second) = (await ConnectAsync(proxy), await ConnectAsync(proxy));

        var calls = new[] { first, second }.Select((client, i) => client.CallAsync("progress", new { count = 10 + i }, new JsonObject { ["progressToken"] = "same" }));
        await Task.WhenAll(calls);

        foreach (var (client, count) in new[] { (first, 10), (second, 11) })
        {
            var progress = client.Notifications(NotificationMethods.ProgressNotification).ToList();
            progress.Count.ShouldBe(count);
            progress.ShouldAllBe(notification => notification.Params!["progressToken"]!.GetValue<string>() == "same" && notification.Params["total"]!.GetValue<double>() == count);
        }
    }

    [Fact]
    public async Task A_client_that_leaves_takes_only_its_own_calls_along()
    {
        var proxy = Serve("--child", "shared");
        var (first, second) = (await ConnectAsync(proxy), await ConnectAsync(proxy));
        var (mine, others) = (TestClient.NewKey("wait"), TestClient.NewKey("wait"));
        _ = first.CallAsync("wait", new { key = mine });
        await using var gate = new Gate();
        var call = second.CallAsync("ask_port", new { port = gate.Port });
        await gate.CallArrivedAsync();
        (await second.TextAsync("has_started", new { key = mine })).ShouldBe("true");

        await first.DisposeAsync();

        (await second.TextAsync("was_cancelled", new { key = mine })).ShouldBe("true");
        await gate.AnswerAsync(others);
        (await call).Content.OfType<TextContentBlock>().Single().Text.ShouldBe(others);
    }

    [Fact]
    public async Task Updates_reach_the_subscriber_alone()
    {
        var proxy = Serve("--child", "shared");
        var (first, second) = (await ConnectAsync(proxy), await ConnectAsync(proxy));
        var uri = $"test://{TestClient.NewKey("watched")}";
        await using var subscription = await first.Sdk.SubscribeToResourceAsync(uri, (_, _) => ValueTask.CompletedTask, cancellationToken: TestContext.Current.CancellationToken);

        await second.TextAsync("change", new { name = TestClient.NewKey("tool"), uri });

        await first.NotificationAsync(NotificationMethods.ResourceUpdatedNotification, parameters => parameters?["uri"]?.GetValue<string>() == uri);

        // Both hear of the list, and it came before the update.
        await second.NotificationAsync(NotificationMethods.ToolListChangedNotification, _ => true);
        await second.TextAsync("echo", new { text = "x" });
        second.Notifications(NotificationMethods.ResourceUpdatedNotification).ShouldBeEmpty();
    }
}
