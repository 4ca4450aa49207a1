using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.CommandLine;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.Operations;

/// <summary>What the log of a server says, and what it never says.</summary>
public sealed class LogTests(ITestOutputHelper output) : EndToEndTest(output)
{
    [Fact]
    public async Task Lines_say_which_session_and_request_they_belong_to()
    {
        var proxy = Own(Proxy.Start(["--port", "0", "--debug", "--log-format", "json", .. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Legacy)]));
        var sessions = await TwoSessionsAsync(new Uri(await FirstUrlAsync(proxy)));

        var died = await proxy.Errors.FirstAsync("the end of the second session", line => line.Contains("A session ended", StringComparison.Ordinal));
        JsonNode.Parse(died)!["session"]!.GetValue<string>().ShouldBe("2");
        var child = await proxy.Errors.FirstAsync("the child's last words", line => line.Contains("leaving with 3", StringComparison.Ordinal));
        JsonNode.Parse(child)!["session"]!.GetValue<string>().ShouldBe("2");
        var access = await proxy.Errors.FirstAsync("a line for the request", line => line.Contains("\"access\"", StringComparison.Ordinal));
        JsonNode.Parse(access)!["message"]!.GetValue<string>().ShouldMatch("^POST /mcp 200 \\d+ ms [1-9]\\d* bytes, from 127.0.0.1$");
        proxy.Errors.Lines.ShouldAllBe(line => sessions.All(session => !line.Contains(session, StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Text_says_it_in_short()
    {
        var proxy = Own(Proxy.Start(["--port", "0", "--debug", .. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Legacy)]));
        await TwoSessionsAsync(await proxy.ListeningAsync(Transport.StreamableHttp));
        (await proxy.Errors.FirstAsync("the end of the second session", line => line.Contains("A session ended", StringComparison.Ordinal))).ShouldContain("[session 2");
    }

    [Theory]
    [InlineData("text")]
    [InlineData("json")]
    public async Task Secrets_are_never_logged(string format)
    {
        await using var server = await RecordingListener.StartAsync();
        var proxy = Own(Proxy.Start(
            ["--port", "0", "--log-level", "trace", "--log-format", format, "--header", "Authorization: Bearer hunter0", "--header", "X-Api-Key: hunter1", $"{server.Url}?token=hunter2"]));
        var url = new Uri(await FirstUrlAsync(proxy));
        using var http = new HttpClient();
        foreach (var path in new[] { "/mcp?token=hunter3", "/messages?sessionId=hunter4", "/nowhere?key=hunter5", "/healthz?hunter6", "/metrics?hunter7", "/sse?hunter8" })
        {
            using var request = new HttpRequestMessage(path.StartsWith("/m", StringComparison.Ordinal) ? HttpMethod.Post : HttpMethod.Put, new Uri(url, path))
            {
                Content = new StringContent(Messages.Initialize(1).Replace("\"raw\"", "\"hunter9\"", StringComparison.Ordinal), null, "application/json"),
            };
            request.Headers.Accept.ParseAdd("application/json, text/event-stream");
            request.Headers.Add("Authorization", "Bearer hunterA");
            request.Headers.Add("Cookie", "session=hunterB");
            request.Headers.Add("X-Api-Key", "hunterC");
            request.Headers.Add("Mcp-Session-Id", "hunterD");
            using var response = await http.SendAsync(request, TestContext.Current.CancellationToken).Within(path);
        }

        await proxy.Errors.FirstAsync("a line for the last request", line => line.Contains("PUT /sse 405", StringComparison.Ordinal));
        proxy.Terminate();
        await proxy.ExitAsync();
        proxy.Errors.Lines.Count.ShouldBeGreaterThan(8);
        proxy.Errors.Lines.ShouldAllBe(line => !line.Contains("hunter", StringComparison.Ordinal) && !line.Contains("a-session", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Line_break_in_a_path_begins_no_line()
    {
        var proxy = Own(Proxy.Start(["--port", "0", "--debug", "--", "cat"]));
        using var http = new HttpClient();
        using var response = await http.GetAsync(new Uri(await proxy.ListeningAsync(Transport.StreamableHttp), "/x%0Amcp-proxy:%20error:%20forged"), TestContext.Current.CancellationToken).Within("the answer");
        await proxy.Errors.FirstAsync("a line for the request", line => line.Contains("GET /x%0A", StringComparison.Ordinal));
        proxy.Errors.Lines.ShouldNotContain(line => line.StartsWith("mcp-proxy: error: forged", StringComparison.Ordinal));
    }

    /// <summary>Two sessions, of which the second's server dies.</summary>
    private static async Task<string[]> TwoSessionsAsync(Uri url)
    {
        using var first = new RawHttp(url);
        using var second = new RawHttp(url);
        foreach (var raw in new[] { first, second })
        {
            var (response, _) = await raw.PostAsync(Messages.Initialize(1));
            raw.SessionId = response.Headers.GetValues("Mcp-Session-Id").Single();
            await raw.PostAsync(Messages.Initialized);
        }

        await second.PostAsync(Messages.Call(2, "exit", new { code = 3 }));
        await second.DeleteAsync();
        return [first.SessionId!, second.SessionId!];
    }

    private static async Task<string> FirstUrlAsync(Proxy proxy)
    {
        var line = await proxy.Errors.FirstAsync("the URL", line => line.Contains("Listening (streamable-http)", StringComparison.Ordinal));
        var begin = line.IndexOf("http://", StringComparison.Ordinal);
        return line[begin..(line.IndexOf("/mcp", begin, StringComparison.Ordinal) + 4)];
    }
}
