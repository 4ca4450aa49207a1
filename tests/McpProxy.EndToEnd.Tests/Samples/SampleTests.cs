using System.Net;
using System.Net.Http.Headers;
using System.Text;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;
using ModelContextProtocol.Client;

namespace McpProxy.EndToEnd.Tests.Samples;

/// <summary>The samples do what they say.</summary>
public sealed class SampleTests(ITestOutputHelper output) : EndToEndTest(output)
{
    private const string Initialize = """{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}""";

    [Fact]
    public async Task Ten_lines_give_a_client_a_remote_server()
    {
        var server = Own(await Programs.TestServer.StartAsync(Era.Dual));
        var errors = new OutputLog();
        Watch("the sample", errors);
        await using var client = await TestClient.ConnectAsync(
            new StdioClientTransport(new()
            {
                Name = "sample",
                Command = Sample.FileOf("sample-remote-over-stdio"),
                Arguments = [server.At(Transport.StreamableHttp).ToString()],
                EnvironmentVariables = Dotnet.Environment.ToDictionary(StringComparer.Ordinal),
                StandardErrorLines = errors.Add,
            }),
            protocolVersion: null);
        (await client.TextAsync("echo", new { text = "over the sample" })).ShouldBe("over the sample");
    }

    [Fact]
    public async Task An_application_offers_a_server_to_whom_it_knows()
    {
        var url = await StartApplicationAsync();
        using var http = new HttpClient { BaseAddress = url };
        (await http.GetStringAsync("/", TestContext.Current.CancellationToken)).ShouldContain("own page");
        (await PostAsync(http, key: null, Initialize)).StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        var transport = new HttpClientTransport(new()
        {
            Endpoint = new(url, "/mcp"),
            TransportMode = HttpTransportMode.StreamableHttp,
            AdditionalHeaders = new Dictionary<string, string>(StringComparer.Ordinal) { ["X-Team-Key"] = "red-key" },
        });
        await using var client = await TestClient.ConnectAsync(transport, TestClient.VersionOf(Era.Legacy));
        (await client.TextAsync("echo", new { text = "in an application" })).ShouldBe("in an application");
    }

    [Fact]
    public async Task A_session_of_one_user_does_not_exist_for_another()
    {
        using var http = new HttpClient { BaseAddress = await StartApplicationAsync() };
        var opened = await PostAsync(http, "red-key", Initialize);
        opened.StatusCode.ShouldBe(HttpStatusCode.OK);
        var session = opened.Headers.GetValues("Mcp-Session-Id").Single();
        const string Ping = """{"jsonrpc":"2.0","id":2,"method":"ping"}""";
        (await PostAsync(http, "blue-key", Ping, session)).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await PostAsync(http, "red-key", Ping, session)).StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Fact]
    public async Task The_application_s_own_cors_answers_a_browser_before_anyone_asks_who_it_is()
    {
        using var http = new HttpClient { BaseAddress = await StartApplicationAsync() };
        using var preflight = new HttpRequestMessage(HttpMethod.Options, "/mcp");
        preflight.Headers.Add("Origin", "https://tools.example");
        preflight.Headers.Add("Access-Control-Request-Method", "POST");
        preflight.Headers.Add("Access-Control-Request-Headers", "x-team-key,mcp-session-id");
        using var answer = await http.SendAsync(preflight, TestContext.Current.CancellationToken);
        answer.StatusCode.ShouldBe(HttpStatusCode.NoContent);
        answer.Headers.GetValues("Access-Control-Allow-Origin").Single().ShouldBe("https://tools.example");
    }

    [Fact]
    public async Task Calls_in_flight_are_answered_before_the_application_ends()
    {
        var sample = StartSample();
        using var http = new HttpClient { BaseAddress = await sample.ListeningAsync() };
        var session = (await PostAsync(http, "red-key", Initialize)).Headers.GetValues("Mcp-Session-Id").Single();

        // Its stream begins before its answer comes.
        using var call = await PostAsync(http, "red-key", """{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"pause","arguments":{"milliseconds":2000}}}""", session);
        sample.Terminate();
        (await call.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).ShouldContain("rested");
        await sample.ExitAsync();
    }

    private static async Task<HttpResponseMessage> PostAsync(HttpClient http, string? key, string message, string? session = null)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, "/mcp") { Content = new StringContent(message, Encoding.UTF8, new MediaTypeHeaderValue("application/json")) };
        request.Headers.Accept.ParseAdd("application/json, text/event-stream");
        if (key is not null)
        {
            request.Headers.Add("X-Team-Key", key);
        }

        if (session is not null)
        {
            request.Headers.Add("Mcp-Session-Id", session);
        }

        return await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken).Within("the application's answer");
    }

    private Task<Uri> StartApplicationAsync() => StartSample().ListeningAsync();

    private Sample StartSample() =>
        Own(new Sample("sample-server-in-web-application", ["--urls", "http://127.0.0.1:0", "--", "env", $"DOTNET_ROOT={Dotnet.Root}", .. Programs.TestServer.Command(Era.Legacy)]));
}
