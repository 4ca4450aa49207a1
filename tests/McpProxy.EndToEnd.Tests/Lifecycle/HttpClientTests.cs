using System.Globalization;
using System.Net;
using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;
using ModelContextProtocol.Protocol;

namespace McpProxy.EndToEnd.Tests.Lifecycle;

/// <summary>HTTP clients that come and go, several at once.</summary>
public sealed class HttpClientTests(ITestOutputHelper output) : EndToEndTest(output)
{
    [Theory]
    [InlineData(Transport.Sse, Transport.Stdio)]
    [InlineData(Transport.Sse, Transport.StreamableHttp)]
    [InlineData(Transport.StreamableHttp, Transport.Stdio)]
    [InlineData(Transport.StreamableHttp, Transport.StreamableHttp)]
    public async Task Two_clients_do_not_hear_of_each_other(Transport downstream, Transport upstream)
    {
        var proxy = Own(Proxy.Start(["--port", "0", .. await TargetAsync(upstream)]));
        var url = await proxy.ListeningAsync(downstream);
        var clients = await Task.WhenAll(Enumerable.Range(0, 2).Select(_ => TestClient.ConnectAsync(TestClient.Http(url, downstream), "2025-11-25")));
        Own(clients[0]);
        Own(clients[1]);

        // The same request ids and progress tokens on purpose: each is its client's own.
        await Task.WhenAll(clients.Select(async (client, number) =>
        {
            var result = await client.CallAsync("progress", new { count = 20 + number }, new JsonObject { ["progressToken"] = "same" });
            result.IsError.ShouldNotBe(true);
            await client.Sdk.SetLoggingLevelAsync(LoggingLevel.Info).Within("logging/setLevel");
            await client.TextAsync("log", new { text = $"client {number}", count = 20 });
            (await client.TextAsync("elicit")).ShouldBe(TestClient.UserName);
        }));

        for (var number = 0; number < 2; number++)
        {
            clients[number].Notifications(NotificationMethods.ProgressNotification).Count().ShouldBe(20 + number);
            clients[number].Notifications(NotificationMethods.LoggingMessageNotification)
                .Select(notification => notification.Params!["data"]!.GetValue<string>())
                .ShouldBe(Enumerable.Range(1, 20).Select(i => $"client {number} {i}"));
        }

        if (upstream == Transport.Stdio)
        {
            (await clients[0].TextAsync("process_id")).ShouldNotBe(await clients[1].TextAsync("process_id"), "a stdio server serves one client");
        }
    }

    [Theory]
    [InlineData(Transport.Stdio)]
    [InlineData(Transport.StreamableHttp)]
    public async Task Two_modern_clients_do_not_hear_of_each_other(Transport upstream)
    {
        var proxy = Own(Proxy.Start(["--port", "0", .. await TargetAsync(upstream, Era.Modern)]));
        var url = await proxy.ListeningAsync(Transport.StreamableHttp);
        var clients = await Task.WhenAll(Enumerable.Range(0, 2).Select(_ => TestClient.ConnectAsync(TestClient.Http(url, Transport.StreamableHttp), "2026-07-28")));
        Own(clients[0]);
        Own(clients[1]);

        // They share one server, under the same request ids, progress tokens and subscription ids.
        await Task.WhenAll(clients.Select(async (client, number) =>
        {
            _ = client.ListenAsync("listen", $"test://item/{number}");
            await client.NotificationAsync(NotificationMethods.SubscriptionsAcknowledgedNotification, parameters => TestClient.SubscriptionOf(parameters) == "listen");
            var result = await client.CallAsync("progress", new { count = 20 + number }, new JsonObject { ["progressToken"] = "same" });
            result.IsError.ShouldNotBe(true);
            await client.CallAsync("log", new { text = $"client {number}", count = 20 }, new JsonObject { [RecordingTransport.LogLevelPlaceholder] = "info" });
            (await client.TextAsync("interview")).ShouldStartWith(TestClient.UserName);
        }));
        for (var number = 0; number < 2; number++)
        {
            await clients[1 - number].TextAsync("change", new { name = $"added-{number}", uri = $"test://item/{number}" });
        }

        for (var number = 0; number < 2; number++)
        {
            await clients[number].NotificationAsync(NotificationMethods.ResourceUpdatedNotification, parameters => TestClient.SubscriptionOf(parameters) == "listen");
            clients[number].Notifications(NotificationMethods.ResourceUpdatedNotification).Select(notification => notification.Params!["uri"]!.GetValue<string>()).ShouldBe([$"test://item/{number}"]);
            clients[number].Notifications(NotificationMethods.ProgressNotification).Count().ShouldBe(20 + number);
            var logged = clients[number].Notifications(NotificationMethods.LoggingMessageNotification).Select(notification => notification.Params!["data"]!.GetValue<string>()).ToList();
            var expected = Enumerable.Range(1, 20).Select(i => $"client {number} {i}").ToList();
            if (upstream == Transport.Stdio)
            {
                // A log message on stdio does not say to whose call it belongs: better lost than told to the wrong client.
                logged.ShouldBeSubsetOf(expected);
            }
            else
            {
                logged.ShouldBe(expected);
            }
        }
    }

    [Theory]
    [InlineData(Transport.Sse)]
    [InlineData(Transport.StreamableHttp)]
    public async Task Client_that_leaves_takes_its_child_along_and_nothing_else(Transport downstream)
    {
        var proxy = Own(Proxy.Start(["--port", "0", .. await TargetAsync(Transport.Stdio)]));
        var url = await proxy.ListeningAsync(downstream);
        var leaving = await TestClient.ConnectAsync(TestClient.Http(url, downstream), "2025-11-25");
        var staying = Own(await TestClient.ConnectAsync(TestClient.Http(url, downstream), "2025-11-25"));
        var child = int.Parse(await leaving.TextAsync("process_id"), CultureInfo.InvariantCulture);

        await leaving.DisposeAsync().AsTask().Within("the end of the client");

        await PosixSignals.GoneAsync(child, "the child of the client that left");
        (await staying.TextAsync("echo", new { text = "here" })).ShouldBe("here");
    }

    [Fact]
    public async Task Delete_ends_the_child_and_the_session()
    {
        var proxy = Own(Proxy.Start(["--port", "0", .. await TargetAsync(Transport.Stdio)]));
        using var http = new RawHttp(await proxy.ListeningAsync(Transport.StreamableHttp));
        var (initialized, _) = await http.PostAsync(Messages.Initialize(1));
        initialized.StatusCode.ShouldBe(HttpStatusCode.OK);
        http.SessionId = initialized.Headers.GetValues("Mcp-Session-Id").Single();
        (await http.PostAsync(Messages.Initialized)).Response.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        var (_, body) = await http.PostAsync(Messages.Call(2, "process_id"));
        var child = int.Parse(JsonNode.Parse(body[body.IndexOf('{', StringComparison.Ordinal)..])!["result"]!["content"]![0]!["text"]!.GetValue<string>(), CultureInfo.InvariantCulture);

        var (deleted, _) = await http.DeleteAsync();

        deleted.IsSuccessStatusCode.ShouldBeTrue();
        await PosixSignals.GoneAsync(child, "the child of the deleted session");
        (await http.PostAsync(Messages.Call(3, "process_id"))).Response.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task Port_that_is_taken_is_reported()
    {
        var first = Own(Proxy.Start(["--port", "0", "--", "cat"]));
        var port = (await first.ListeningAsync(Transport.Sse)).Port;

        var second = Own(Proxy.Start(["--port", port.ToString(CultureInfo.InvariantCulture), "--", "cat"]));

        (await second.ExitAsync()).ShouldBe(1);
        second.Errors.ToString().ShouldContain(port.ToString(CultureInfo.InvariantCulture));
    }

    private async Task<string[]> TargetAsync(Transport upstream, Era era = Era.Legacy) => upstream == Transport.Stdio
        ? [.. Proxy.ChildOptions, "--", .. TestServer.Command(era)]
        : [Own(await TestServer.StartAsync(era)).At(upstream).AbsoluteUri];
}
