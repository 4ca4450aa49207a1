using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.CommandLine;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.Operations;

/// <summary>Traces and metrics on their way to a collector, and trace context on its way to the server.</summary>
public sealed class TelemetryTests(ITestOutputHelper output) : EndToEndTest(output)
{
    private const string Trace = "0af7651916cd43dd8448eb211c80319c";
    private const string Parent = "00f067aa0ba902b7";
    private const string TraceParent = $"00-{Trace}-{Parent}-01";
    private const int ServerKind = 2;
    private const int ClientKind = 3;

    [Fact]
    public async Task Trace_of_an_http_request_goes_on_at_the_server()
    {
        await using var collector = await OtlpCollector.StartAsync();
        await using var server = await RecordingListener.StartAsync();
        var proxy = Own(Proxy.Start(["--port", "0", server.Url], collector.Environment()));
        await PostAsync(await proxy.ListeningAsync(Transport.StreamableHttp), ("traceparent", TraceParent), ("tracestate", "vendor=1"));

        var spans = await collector.SpansAsync(2);

        var own = spans.Single(span => span.Number(6) == ServerKind);
        var toServer = spans.Single(span => span.Number(6) == ClientKind);
        own.Hex(1).ShouldBe(Trace);
        own.Hex(4).ShouldBe(Parent);
        own.Text(3).ShouldBe("vendor=1");
        own.Text(5).ShouldBe("initialize");
        own.Attributes(9)["mcp.method.name"].ShouldBe("initialize");
        own.Number(8).ShouldBeGreaterThan(own.Number(7));
        toServer.Hex(4).ShouldBe(own.Hex(2));
        server.Values("traceparent").First().ShouldBe($"00-{Trace}-{toServer.Hex(2)}-01");
        server.Values("tracestate").First().ShouldBe("vendor=1");
    }

    [Fact]
    public async Task Trace_of_a_message_goes_on_from_standard_input()
    {
        await using var collector = await OtlpCollector.StartAsync();
        await using var server = await RecordingListener.StartAsync();
        var proxy = Own(Proxy.Start([server.Url], collector.Environment(("OTEL_BSP_SCHEDULE_DELAY", "60000"), ("OTEL_METRICS_EXPORTER", "none"))));
        await proxy.SendAsync(Messages.Initialize(1));
        await proxy.AnswerAsync(1);
        await proxy.SendAsync($$$"""{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"add","_meta":{"traceparent":"{{{TraceParent}}}"} } }""");
        await proxy.AnswerAsync(2);
        proxy.Input.Close();

        // The last of it goes out before the program ends, however long it would have waited.
        (await proxy.ExitAsync()).ShouldBe(0);
        var spans = (await collector.SpansAsync(4)).Where(span => span.Text(5) == "tools/call add").ToList();
        spans.ShouldAllBe(span => span.Hex(1) == Trace);
        spans.Single(span => span.Number(6) == ServerKind).Hex(4).ShouldBe(Parent);
        server.Values("traceparent").ShouldContain($"00-{Trace}-{spans.Single(span => span.Number(6) == ClientKind).Hex(2)}-01");
    }

    [Fact]
    public async Task Trace_context_is_passed_on_as_it_is_when_nobody_traces()
    {
        await using var server = await RecordingListener.StartAsync();
        var proxy = Own(Proxy.Start(["--port", "0", server.Url]));
        var url = await proxy.ListeningAsync(Transport.StreamableHttp);
        await PostAsync(url, ("traceparent", TraceParent), ("tracestate", "vendor=1"), ("baggage", "user=ann"), ("X-Other", "1"));
        await PostAsync(url);
        await PostAsync(url, ("traceparent", "nonsense"));

        server.Values("traceparent").Where(value => value.Length > 0).Distinct().ShouldBe([TraceParent]);
        server.Values("tracestate").Where(value => value.Length > 0).Distinct().ShouldBe(["vendor=1"]);
        server.Values("baggage").ShouldAllBe(value => value.Length == 0);
        server.Values("X-Other").ShouldAllBe(value => value.Length == 0);
    }

    [Fact]
    public async Task Metrics_are_sent_with_what_they_add_up_to()
    {
        await using var collector = await OtlpCollector.StartAsync();
        await using var server = await RecordingListener.StartAsync();
        var proxy = Own(Proxy.Start(["--port", "0", server.Url], collector.Environment()));
        await PostAsync(await proxy.ListeningAsync(Transport.StreamableHttp));

        var duration = await collector.MetricAsync("mcp.server.operation.duration");
        duration.Text(3).ShouldBe("s");
        var point = duration.One(9).One(1);
        duration.One(9).Number(2).ShouldBe(2UL, "cumulative");
        point.Number(4).ShouldBe(1UL);
        point.Attributes(9)["mcp.method.name"].ShouldBe("initialize");
        point.Bytes(6).Length.ShouldBe(point.Bytes(7).Length + 8, "one bucket more than bounds");
        var sessions = await collector.MetricAsync("mcp_proxy.sessions");
        sessions.One(7).Number(3).ShouldBe(0UL, "goes down, too");
        sessions.One(7).One(1).Number(6).ShouldBe(1UL);
    }

    [Fact]
    public async Task Collector_that_is_busy_gets_it_later_and_nothing_secret_is_said()
    {
        await using var collector = await OtlpCollector.StartAsync();
        collector.Refusals = 3;
        await using var server = await RecordingListener.StartAsync();
        var proxy = Own(Proxy.Start(["--port", "0", "--log-level", "trace", server.Url], collector.Environment(("OTEL_METRICS_EXPORTER", "none"))));
        await PostAsync(await proxy.ListeningAsync(Transport.StreamableHttp), ("traceparent", TraceParent));

        (await collector.SpansAsync(2)).ShouldAllBe(span => span.Hex(1) == Trace);
        await proxy.Errors.FirstAsync("the warning", line => line.Contains("could not be sent", StringComparison.Ordinal));
        proxy.Errors.ToString().ShouldNotContain("hunter");
    }

    [Fact]
    public async Task Protocol_that_is_not_spoken_is_said_and_the_program_works()
    {
        await using var server = await RecordingListener.StartAsync();
        var proxy = Own(Proxy.Start(["--port", "0", server.Url], new Dictionary<string, string?>(StringComparer.Ordinal)
        {
            ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9",
            ["OTEL_EXPORTER_OTLP_PROTOCOL"] = "grpc",
        }));
        await PostAsync(await proxy.ListeningAsync(Transport.StreamableHttp));
        proxy.Errors.ToString().ShouldContain("http/protobuf");
    }

    private static async Task PostAsync(Uri url, params (string Name, string Value)[] headers)
    {
        using var http = new HttpClient();
        using var request = new HttpRequestMessage(HttpMethod.Post, url) { Content = new StringContent(Messages.Initialize(1), null, "application/json") };
        request.Headers.Accept.ParseAdd("application/json, text/event-stream");
        foreach (var (name, value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        using var response = await http.SendAsync(request, TestContext.Current.CancellationToken).Within("the answer");
        response.IsSuccessStatusCode.ShouldBeTrue();
    }
}
