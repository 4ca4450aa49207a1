using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.Operations;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.Eras;

/// <summary>Calls to a legacy server that wait while their clients look for answers to its questions.</summary>
public sealed class ParkedCallTests(ITestOutputHelper output) : EndToEndTest(output)
{
    private const string Ends = "mcp_proxy_bridge_parked_ends_total";

    [Fact]
    public async Task Users_who_are_asked_at_once_get_each_their_own_question_and_nobody_elses()
    {
        var url = await ServeAsync();
        using var alice = new ModernHttp(url, "alice-key");
        using var bob = new ModernHttp(url, "bob-key");

        var asked = await Task.WhenAll(alice.CallAsync("elicit"), bob.CallAsync("elicit"));
        var (alices, bobs) = (StateOf(asked[0]), StateOf(asked[1]));
        (await MetricAsync(url, "mcp_proxy_bridge_parked{direction=\"modern_to_legacy\"}")).ShouldBe(2);
        (await MetricAsync(url, "mcp_proxy_bridge_sessions{direction=\"modern_to_legacy\"}")).ShouldBe(2);

        ErrorOf(await bob.AnswerAsync("elicit", alices, "Mallory")).ShouldBe(-32602, "another principal's");
        ErrorOf(await alice.AnswerAsync("echo", alices, "Alice")).ShouldBe(-32602, "another call's");
        ErrorOf(await alice.AnswerAsync("elicit", (alices[0] == 'A' ? 'B' : 'A') + alices[1..], "Alice")).ShouldBe(-32602, "changed");

        var answers = await Task.WhenAll(alice.AnswerAsync("elicit", alices, "Alice"), bob.AnswerAsync("elicit", bobs, "Bob"));
        answers.Select(TextOf).ShouldBe(["Alice", "Bob"]);
        ErrorOf(await alice.AnswerAsync("elicit", alices, "Alice")).ShouldBe(-32602, "used already");
        (await MetricAsync(url, "mcp_proxy_bridge_parked{direction=\"modern_to_legacy\"}")).ShouldBe(0);
        (await MetricAsync(url, Ends + "{direction=\"modern_to_legacy\",outcome=\"answered\"}")).ShouldBe(2);
        (await MetricAsync(url, "mcp_proxy_bridge_state_refusals_total")).ShouldBe(4);
    }

    [Fact]
    public async Task State_of_a_proxy_that_was_started_anew_is_refused()
    {
        using var before = new ModernHttp(await ServeAsync(), "alice-key");
        var state = StateOf(await before.CallAsync("elicit"));
        using var after = new ModernHttp(await ServeAsync(), "alice-key");

        ErrorOf(await after.AnswerAsync("elicit", state, "Alice")).ShouldBe(-32602);
        StateOf(await after.CallAsync("elicit")).ShouldNotBe(state);
    }

    [Fact]
    public async Task Death_of_the_server_in_the_middle_is_told_at_once_and_the_next_call_gets_another()
    {
        var url = await ServeAsync();
        using var alice = new ModernHttp(url, "alice-key");
        var state = StateOf(await alice.CallAsync("elicit"));
        ErrorOf(await alice.CallAsync("exit", new JsonObject { ["code"] = 3 })).ShouldBe(-32000);

        var answer = await alice.AnswerAsync("elicit", state, "Alice");
        ErrorOf(answer).ShouldBe(-32000);
        answer["error"]!["message"]!.GetValue<string>().ShouldContain("3");
        TextOf(await alice.AnswerAsync("elicit", StateOf(await alice.CallAsync("elicit")), "Alice")).ShouldBe("Alice");
        (await MetricAsync(url, Ends + "{direction=\"modern_to_legacy\",outcome=\"server_gone\"}")).ShouldBe(1);
    }

    [Fact]
    public async Task Thousand_calls_wait_and_all_go_on()
    {
        var url = await ServeAsync();
        using var alice = new ModernHttp(url, "alice-key");
        List<string> states = [];
        for (var i = 0; i < 1000; i++)
        {
            states.Add(StateOf(await alice.CallAsync("elicit")));
        }

        (await MetricAsync(url, "mcp_proxy_bridge_parked{direction=\"modern_to_legacy\"}")).ShouldBe(1000);
        for (var i = 999; i >= 0; i--)
        {
            TextOf(await alice.AnswerAsync("elicit", states[i], $"name {i}")).ShouldBe($"name {i}");
        }

        (await MetricAsync(url, "mcp_proxy_bridge_parked{direction=\"modern_to_legacy\"}")).ShouldBe(0);
    }

    private static string StateOf(JsonObject answer)
    {
        answer["result"].ShouldNotBeNull(answer.ToJsonString())["resultType"]!.GetValue<string>().ShouldBe("input_required");
        answer["result"]!["inputRequests"]!["q1"]!["method"]!.GetValue<string>().ShouldBe("elicitation/create");
        return answer["result"]!["requestState"]!.GetValue<string>();
    }

    private static int ErrorOf(JsonObject answer) => answer["error"].ShouldNotBeNull(answer.ToJsonString())["code"]!.GetValue<int>();

    private static string TextOf(JsonObject answer) => answer["result"].ShouldNotBeNull(answer.ToJsonString())["content"]![0]!["text"]!.GetValue<string>();

    private static async Task<double> MetricAsync(Uri url, string sample)
    {
        using var http = new HttpClient();
        http.DefaultRequestHeaders.Authorization = new("Bearer", "alice-key");
        return new PrometheusSamples(await http.GetStringAsync(new Uri(url, "/metrics"), TestContext.Current.CancellationToken).Within("the metrics"))[sample];
    }

    private Task<Uri> ServeAsync()
    {
        var proxy = Own(Proxy.Start(["--debug", "--port", "0", "--api-key", "alice-key", "--api-key", "bob-key", .. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Legacy)]));
        return proxy.ListeningAsync(Transport.StreamableHttp);
    }
}
