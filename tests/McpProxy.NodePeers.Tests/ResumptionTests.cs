using System.Net.Http.Headers;
using System.Text;
using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests;

/// <summary>Event streams of Streamable HTTP that break and are taken up again (MCP 2025-11-25, "Resumability and Redelivery").</summary>
public sealed class ResumptionTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    [Theory, InlineData(LegacyWay.StreamableHttp), InlineData(LegacyWay.StdioOverStreamableHttp)]
    public async Task Streams_that_break_again_and_again_lose_nothing(LegacyWay way)
    {
        await using var scene = new Scene();
        var proxy = await scene.ServeAsync(["--", .. NodePackages.LegacyServer]);
        var cutter = scene.Start("bad network", NodePackages.Node, NodePackages.Script("cutter.mjs"), "2", proxy.Origin);
        var origin = (await cutter.EventAsync("listening")).Text("origin");

        var client = scene.LegacyClient("calls", way.RouteTo(proxy with { StreamableHttpUrl = $"{origin}/mcp" }));

        await LegacyCallTests.ShouldGetThroughAsync(client);
    }

    [Fact]
    public async Task A_stream_that_breaks_after_its_first_event_loses_nothing()
    {
        await using var scene = new Scene();
        using var client = await RawClient.ConnectAsync(await scene.ServeAsync(["--", .. NodePackages.LegacyServer]));

        var first = (await client.CallAsync("gate", 2, read: 1))[0];
        await client.CallAsync("open", 3, read: 1);
        var rest = await client.ResumeAsync(first.Id);

        rest.Select(received => received.Data).Where(data => data.Contains("progress", StringComparison.Ordinal)).Count().ShouldBe(2, Lines(rest));
        rest[^1].Data.ShouldContain("\"id\":2", Case.Sensitive, Lines(rest));
    }

    [Fact]
    public async Task A_resumed_stream_that_breaks_after_its_first_event_loses_nothing()
    {
        await using var scene = new Scene();
        using var client = await RawClient.ConnectAsync(await scene.ServeAsync(["--", .. NodePackages.LegacyServer]));

        var began = await client.CallAsync("gate", 2, read: 2);
        await client.CallAsync("open", 3, read: 1);

        // Its answer comes after the other one, which nobody reads by now.
        await client.CallAsync("whoami", 4, read: 1);
        var resumed = (await client.ResumeAsync(began[^1].Id, read: 1))[0];
        var rest = await client.ResumeAsync(resumed.Id);

        Event[] received = [resumed, .. rest];
        received[^1].Data.ShouldContain("\"id\":2", Case.Sensitive, Lines(received));
    }

    private static string Lines(IEnumerable<Event> events) => string.Join('\n', events);

    private sealed record Event(string Id, string Data);

    /// <summary>A client that reads as much of a stream as the test wants, and no more.</summary>
    private sealed class RawClient(string url) : IDisposable
    {
        private readonly HttpClient _http = new() { Timeout = s_patience };
        private string? _session;

        public static async Task<RawClient> ConnectAsync(ServingProxy proxy)
        {
            var client = new RawClient(proxy.StreamableHttpUrl);
            await client.PostAsync(
                """{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}""", read: 1);
            await client.PostAsync("""{"jsonrpc":"2.0","method":"notifications/initialized"}""", read: 0);
            return client;
        }

        public Task<List<Event>> CallAsync(string tool, int id, int read) =>
            PostAsync($$"""{"jsonrpc":"2.0","id":{{id}},"method":"tools/call","params":{"name":"{{tool}}","arguments":{},"_meta":{"progressToken":{{id}} } } }""", read);

        public Task<List<Event>> ResumeAsync(string lastEventId, int read = int.MaxValue)
        {
            var request = new HttpRequestMessage(HttpMethod.Get, url);
            request.Headers.Add("Last-Event-ID", lastEventId);
            return SendAsync(request, read);
        }

        public void Dispose() => _http.Dispose();

        private Task<List<Event>> PostAsync(string message, int read) =>
            SendAsync(new(HttpMethod.Post, url) { Content = new StringContent(message, Encoding.UTF8, "application/json") }, read);

        private async Task<List<Event>> SendAsync(HttpRequestMessage request, int read)
        {
            request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/json"));
            request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("text/event-stream"));
            if (_session is not null)
            {
                request.Headers.Add("Mcp-Session-Id", _session);
                request.Headers.Add("MCP-Protocol-Version", "2025-11-25");
            }

            using var timeout = new CancellationTokenSource(s_patience);
            using var response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, timeout.Token);
            response.EnsureSuccessStatusCode();
            _session ??= response.Headers.GetValues("Mcp-Session-Id").Single();
            using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(timeout.Token));
            return response.Content.Headers.ContentType?.MediaType == "text/event-stream"
                ? await ReadAsync(reader, read, timeout.Token)
                : [new("", await reader.ReadToEndAsync(timeout.Token))];
        }

        private static async Task<List<Event>> ReadAsync(StreamReader reader, int count, CancellationToken cancellationToken)
        {
            var events = new List<Event>();
            var id = "";
            while (events.Count < count && await reader.ReadLineAsync(cancellationToken) is { } line)
            {
                if (line.StartsWith("id: ", StringComparison.Ordinal))
                {
                    id = line[4..];
                }
                else if (line.StartsWith("data: ", StringComparison.Ordinal))
                {
                    events.Add(new(id, line[6..]));
                }
            }

            return events;
        }
    }
}
