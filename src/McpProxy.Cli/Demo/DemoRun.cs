using System.Text;
using McpProxy.Cli.CommandLine;
using McpProxy.Cli.Logging;
using McpProxy.Cli.Memory;
using McpProxy.JsonRpc;
using McpProxy.Relay;
using McpProxy.Transports;
using McpProxy.Transports.Http;
using McpProxy.Transports.Stdio;
using Microsoft.Extensions.Logging;

namespace McpProxy.Cli.Demo;

/// <summary>The demo: a server, this program in front of it, and a client that shows what crosses.</summary>
internal static class DemoRun
{
    /// <summary>Serves the demo server on standard input and output.</summary>
    public static async Task<int> ServeStdioAsync(CancellationToken cancellationToken)
    {
        await new RelaySession(StdioConnection.OfThisProcess(), new DemoUpstream().Connect()).RunAsync(cancellationToken);
        return ExitCode.Success;
    }

    /// <summary>Serves it over HTTP, connects to it through a second relay, shows the exchange, and goes on serving.</summary>
    /// <param name="port">The port to serve on; 0 for any.</param>
    /// <param name="exit">Whether to end after the exchange.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task<int> ShowAsync(int port, bool exit, CancellationToken cancellationToken)
    {
        var settings = new ProxySettings { Port = port, Log = new(LogLevel.Warning, IsJson: false), MaxMessageSize = TransportDefaults.MaxMessageSize };
        using var loggers = new StderrLoggerProvider(settings.Log, TimeProvider.System);
        HttpHost host;
        try
        {
            host = await HttpHost.StartAsync(new DemoUpstream(), settings, new ConnectionMemory(), loops: null, loggers, cancellationToken);
        }
        catch (IOException e)
        {
            await Console.Error.WriteLineAsync($"mcp-proxy: {e.Message}; another port: mcp-proxy demo --port 0");
            return ExitCode.Failure;
        }

        await using (host)
        {
            var address = host.Addresses.First();
            Say("A small MCP server is running behind this proxy:");
            Say($"  {address}{settings.Endpoint.StreamableHttpPath}  (Streamable HTTP)");
            Say($"  {address}{settings.Endpoint.SsePath}  (HTTP+SSE)");
            await ExchangeAsync(new Uri(address + settings.Endpoint.StreamableHttpPath), loggers, cancellationToken);
            Say("");
            Say("To use it from a desktop client, paste this into its configuration:");
            Say(ClientConfiguration(address + settings.Endpoint.StreamableHttpPath));
            if (!exit)
            {
                Say("");
                Say("Serving until Ctrl-C.");
                var stop = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                await using (cancellationToken.Register(() => stop.TrySetResult()))
                {
                    await stop.Task;
                }
            }
        }

        return ExitCode.Success;
    }

    private static async Task ExchangeAsync(Uri url, ILoggerFactory loggers, CancellationToken cancellationToken)
    {
        Say("");
        Say("A client, on the other side of a second relay, talks to it:");
        await using var upstream = new HttpUpstream(new() { Url = url }, TimeProvider.System, loggers);
        await using var client = new DemoClient();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var relay = new RelaySession(client, upstream.Connect()).RunAsync(stop.Token);
        try
        {
            await client.ShowAsync(stop.Token);
        }
        finally
        {
            await stop.CancelAsync();
            await relay;
        }
    }

    private static string ClientConfiguration(string url) => $$"""
          {
            "mcpServers": {
              "demo": {
                "command": "{{CommandName()}}",
                "args": ["{{url}}"]
              }
            }
          }
        """;

    /// <summary>How this program was started, if a configuration can say so; a program that runs from a build folder has no better name.</summary>
    private static string CommandName() =>
        Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "mcp-proxy"
            ? JsonMembersEscaped(Environment.ProcessPath!)
            : "mcp-proxy";

    private static string JsonMembersEscaped(string text) => System.Text.Json.JsonEncodedText.Encode(text).ToString();

    private static void Say(string line) => Console.Out.WriteLine(line);

    /// <summary>The client of the demo: one side of a relay that is played by this program.</summary>
    private sealed class DemoClient : IConnection
    {
        private readonly TaskCompletionSource<ConnectionEnd> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly Lock _gate = new();
        private readonly Dictionary<JsonRpcId, TaskCompletionSource> _asked = [];
        private IMessageReceiver? _receiver;
        private int _lastId;

        public bool HasRequestStreams => false;

        public Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
        {
            _receiver = receiver;
            cancellationToken.Register(() => _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed")));
            return _ended.Task;
        }

        public async ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
        {
            Show("<-", message);
            if (message.Kind == JsonRpcMessageKind.Request)
            {
                await TellAsync($$$$$"""{"jsonrpc":"2.0","id":{{{{{message.Id}}}}},"result":{"action":"accept","content":{"name":"Ada"}}}""", cancellationToken);
            }
            else if (message.Kind == JsonRpcMessageKind.Response)
            {
                lock (_gate)
                {
                    if (_asked.Remove(message.Id, out var asked))
                    {
                        asked.TrySetResult();
                    }
                }
            }

            return true;
        }

        public ValueTask DisposeAsync()
        {
            _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed"));
            return ValueTask.CompletedTask;
        }

        public async Task ShowAsync(CancellationToken cancellationToken)
        {
            await AskAsync("initialize", """{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}},"clientInfo":{"name":"demo-client","version":"1.0.0"}}""", cancellationToken);
            await TellAsync("""{"jsonrpc":"2.0","method":"notifications/initialized"}""", cancellationToken);
            await AskAsync("tools/list", "{}", cancellationToken);
            await AskAsync("tools/call", """{"name":"add","arguments":{"a":2,"b":40}}""", cancellationToken);
            await AskAsync("tools/call", """{"name":"slow","arguments":{"steps":3},"_meta":{"progressToken":"slow"}}""", cancellationToken);
            await AskAsync("tools/call", """{"name":"ask","arguments":{}}""", cancellationToken);
            await AskAsync("resources/read", """{"uri":"demo://calls"}""", cancellationToken);
        }

        private async Task AskAsync(string method, string parameters, CancellationToken cancellationToken)
        {
            var id = JsonRpcId.FromNumber(++_lastId);
            var answered = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (_gate)
            {
                _asked[id] = answered;
            }

            await TellAsync($$"""{"jsonrpc":"2.0","id":{{id}},"method":"{{method}}","params":{{parameters}}}""", cancellationToken);
            await answered.Task.WaitAsync(TimeSpan.FromSeconds(30), cancellationToken);
        }

        private async Task TellAsync(string json, CancellationToken cancellationToken)
        {
            var message = JsonSplice.Reparse(Encoding.UTF8.GetBytes(json));
            Show("->", message);
            await _receiver!.ReceiveAsync(message, default, cancellationToken);
        }

        private static void Show(string direction, in JsonRpcMessage message)
        {
            const int Width = 118;
            var text = Encoding.UTF8.GetString(message.Utf8.Span);
            Say($"  {direction} {(text.Length <= Width ? text : text[..(Width - 1)] + "…")}");
        }
    }
}
