using System.Net;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.Operations;

/// <summary>What the program shows of itself.</summary>
public sealed class MetricsTests(ITestOutputHelper output) : EndToEndTest(output)
{
    [Fact]
    public async Task Metrics_count_what_happened()
    {
        var proxy = Own(Proxy.Start(["--port", "0", .. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Legacy)]));
        var url = await proxy.ListeningAsync(Transport.StreamableHttp);
        using var raw = new RawHttp(url);
        await InitializeAsync(raw);
        await raw.PostAsync(Messages.Call(2, "echo", new { text = "x" }));
        await raw.PostAsync(Messages.Call(3, "echo", new { text = "y" }));
        await raw.PostAsync("""{"jsonrpc":"2.0","id":4,"method":"surely/unknown"}""");

        var samples = await SamplesAsync(url);

        samples["mcp_proxy_sessions{transport=\"streamable-http\"}"].ShouldBe(1);
        samples["mcp_proxy_requests_total{mcp_method_name=\"initialize\",outcome=\"ok\"}"].ShouldBe(1);
        samples["mcp_proxy_requests_total{mcp_method_name=\"tools/call\",outcome=\"ok\"}"].ShouldBe(2);
        samples["mcp_proxy_requests_total{mcp_method_name=\"other\",outcome=\"error\"}"].ShouldBe(1);
        samples["mcp_server_operation_duration_seconds_count{mcp_method_name=\"tools/call\"}"].ShouldBe(2);
        samples["mcp_server_operation_duration_seconds_bucket{mcp_method_name=\"tools/call\",le=\"+Inf\"}"].ShouldBe(2);
        samples["mcp_client_operation_duration_seconds_count{mcp_method_name=\"other\",error_type=\"-32601\"}"].ShouldBe(1);
        samples["mcp_proxy_child_starts_total{outcome=\"ok\"}"].ShouldBe(1);
        samples["mcp_proxy_message_io_bytes_total{side=\"downstream\",network_io_direction=\"receive\"}"].ShouldBe(
            samples["mcp_proxy_message_io_bytes_total{side=\"upstream\",network_io_direction=\"transmit\"}"]);
        samples["process_resident_memory_bytes"].ShouldBeGreaterThan(1_000_000);
        samples["process_start_time_seconds"].ShouldBe(DateTimeOffset.UtcNow.ToUnixTimeSeconds(), 300);
        samples.Names.ShouldNotContain(name => name.Contains("surely", StringComparison.Ordinal));

        await raw.DeleteAsync();
        await UntilAsync(async () => (await SamplesAsync(url))["mcp_proxy_sessions{transport=\"streamable-http\"}"] == 0);
        await UntilAsync(async () => (await SamplesAsync(url)).Names.Any(name => name.StartsWith("mcp_proxy_child_exits_total{", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("per-session")]
    [InlineData("shared")]
    public async Task Calls_that_cross_the_end_of_their_session_are_answered_and_leave_no_stream(string child)
    {
        var proxy = Own(Proxy.Start(["--port", "0", "--child", child, .. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Legacy)]));
        var url = await proxy.ListeningAsync(Transport.StreamableHttp);
        for (var round = 0; round < (child == "shared" ? 100 : 5); round++)
        {
            using var raw = new RawHttp(url);
            await InitializeAsync(raw);

            var calls = Enumerable.Range(2, 12).Select(id => raw.PostAsync(Messages.Call(id, "echo", new { text = "x" }))).ToList();
            calls.Insert(round % 12, raw.DeleteAsync());

            foreach (var (response, body) in await Task.WhenAll(calls))
            {
                // As an event where the answer took its time: a command that is busy is not ended in a moment.
                (response.StatusCode == HttpStatusCode.NoContent || body.StartsWith('{') || body.Contains("\ndata: {\"jsonrpc\"", StringComparison.Ordinal)).ShouldBeTrue($"{(int)response.StatusCode}: {body}");
            }
        }

        await UntilAsync(async () => (await SamplesAsync(url))["mcp_proxy_streams"] == 0);
    }

    [Fact]
    public async Task Limits_are_kept_and_counted()
    {
        var proxy = Own(Proxy.Start(["--port", "0", "--rate-limit", "0.001", "--rate-burst", "2", "--max-json-depth", "10", "--max-header-count", "10", "--", "cat"]));
        var url = await proxy.ListeningAsync(Transport.StreamableHttp);
        using var raw = new RawHttp(url);
        (await raw.PostAsync($$"""{"jsonrpc":"2.0","id":1,"method":"a","params":{{new string('[', 20)}}{{new string(']', 20)}}}""")).Response.StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await raw.PostAsync("""{"jsonrpc":"2.0","id":1,"method":"a"}""")).Response.StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await raw.PostAsync("""{"jsonrpc":"2.0","id":1,"method":"a"}""")).Response.StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        var (refused, body) = await raw.PostAsync("""{"jsonrpc":"2.0","id":2,"method":"a"}""");
        refused.StatusCode.ShouldBe(HttpStatusCode.TooManyRequests);
        body.ShouldStartWith("""{"jsonrpc":"2.0","id":2,""");
        refused.Headers.RetryAfter!.Delta!.Value.ShouldBeGreaterThan(TimeSpan.Zero);

        (await SamplesAsync(url))["mcp_proxy_limit_refusals_total{limit=\"rate\"}"].ShouldBe(1);

        using var http = new HttpClient();
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(url, "/healthz"));
        for (var i = 0; i < 20; i++)
        {
            request.Headers.Add($"X-{i}", "1");
        }

        using var flooded = await http.SendAsync(request, TestContext.Current.CancellationToken).Within("the refusal");
        flooded.StatusCode.ShouldBe(HttpStatusCode.RequestHeaderFieldsTooLarge);
    }

    [Fact]
    public async Task Metrics_can_be_elsewhere_or_nowhere()
    {
        var elsewhere = Own(Proxy.Start(["--port", "0", "--metrics-path", "/m", "--", "cat"]));
        var nowhere = Own(Proxy.Start(["--port", "0", "--metrics-path", "", .. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Legacy)]));
        using var http = new HttpClient();
        (await StatusAsync(elsewhere, "/m")).ShouldBe(HttpStatusCode.OK);
        (await StatusAsync(elsewhere, "/metrics")).ShouldBe(HttpStatusCode.NotFound);
        (await StatusAsync(nowhere, "/metrics")).ShouldBe(HttpStatusCode.NotFound);
        (await StatusAsync(nowhere, "/healthz")).ShouldBe(HttpStatusCode.OK);
        (await StatusAsync(nowhere, "/readyz")).ShouldBe(HttpStatusCode.OK);

        async Task<HttpStatusCode> StatusAsync(Proxy proxy, string path)
        {
            using var response = await http.GetAsync(new Uri(await proxy.ListeningAsync(Transport.StreamableHttp), path), TestContext.Current.CancellationToken).Within(path);
            return response.StatusCode;
        }
    }

    [Theory]
    [InlineData("--rate-limit", "often", "--rate-limit")]
    [InlineData("--rate-burst", "5", "--rate-limit")]
    [InlineData("--idle-connection-timeout", "65000", "3600")]
    [InlineData("--max-json-depth", "5000", "1024")]
    [InlineData("--metrics-path", "metrics", "begins with /")]
    [InlineData("--metrics-path", "/mcp", "one path")]
    [InlineData("--path", "/healthz", "one path")]
    public async Task What_makes_no_sense_is_explained(string option, string value, string explanation)
    {
        var proxy = Own(Proxy.Start(["--port", "0", option, value, "--", "cat"]));
        (await proxy.ExitAsync()).ShouldBe(2);
        proxy.Errors.Lines.ShouldHaveSingleItem().ShouldContain(explanation);
    }

    [Fact]
    public async Task Spellings_of_other_programs_mean_the_same()
    {
        var proxy = Own(Proxy.Start(["--port", "0", "--keepAliveTimeout", "65000", "--", "cat"]));
        await proxy.ListeningAsync(Transport.StreamableHttp);
    }

    private static async Task<PrometheusSamples> SamplesAsync(Uri url)
    {
        using var http = new HttpClient();
        using var response = await http.GetAsync(new Uri(url, "/metrics"), TestContext.Current.CancellationToken).Within("the metrics");
        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        return new(await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken).Within("the metrics"));
    }

    private static async Task InitializeAsync(RawHttp raw)
    {
        var (response, _) = await raw.PostAsync(Messages.Initialize(1));
        raw.SessionId = response.Headers.GetValues("Mcp-Session-Id").Single();
        await raw.PostAsync(Messages.Initialized);
    }

    private static async Task UntilAsync(Func<Task<bool>> condition)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!await condition())
        {
            await Task.Delay(20, timeout.Token);
        }
    }
}
