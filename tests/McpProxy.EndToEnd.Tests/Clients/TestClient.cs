using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.Programs;
using ModelContextProtocol.Client;
using ModelContextProtocol.Protocol;

namespace McpProxy.EndToEnd.Tests.Clients;

/// <summary>The SDK's client, with someone behind it who answers the server's questions.</summary>
public sealed class TestClient : IAsyncDisposable
{
    public const string UserName = "Zoë 😀";
    public const string ModelName = "test-model";
    public static readonly string[] RootUris = ["file:///home/zo%C3%AB", "file:///tmp"];

    private static long s_lastKey;

    private readonly RecordingTransport _transport;

    private TestClient(McpClient sdk, RecordingTransport transport)
    {
        Sdk = sdk;
        _transport = transport;
    }

    public McpClient Sdk { get; }

    /// <summary>Everything received so far, in the order of arrival.</summary>
    public IReadOnlyList<JsonRpcMessage> Received => _transport.Received;

    /// <param name="inner">The way to the proxy.</param>
    /// <param name="protocolVersion">The only revision to speak; null to let the SDK find one.</param>
    public static async Task<TestClient> ConnectAsync(IClientTransport inner, string? protocolVersion)
    {
        var transport = new RecordingTransport(inner);
        var sdk = await McpClient.CreateAsync(transport, Options(protocolVersion), cancellationToken: TestContext.Current.CancellationToken)
            .Within($"the connection over {inner.Name}", TimeSpan.FromSeconds(40));
        return new(sdk, transport);
    }

    /// <summary>The revision that stands for an era; null for a client that finds one by itself.</summary>
    public static string? VersionOf(Era era) => era switch
    {
        Era.Legacy => "2025-11-25",
        Era.Modern => "2026-07-28",
        _ => null,
    };

    /// <summary>A transport that starts the proxy as a client's configuration would.</summary>
    public static IClientTransport Stdio(IEnumerable<string> proxyArguments, OutputLog errors) => new StdioClientTransport(new()
    {
        Name = "stdio",
        Command = Proxy.File,
        Arguments = [.. proxyArguments],
        EnvironmentVariables = Dotnet.Environment.ToDictionary(StringComparer.Ordinal),
        StandardErrorLines = errors.Add,
    });

    /// <summary>A transport to a proxy that serves HTTP.</summary>
    public static IClientTransport Http(Uri url, Transport transport, HttpMessageHandler? handler = null) => new HttpClientTransport(
        new()
        {
            Name = transport.ToString(),
            Endpoint = url,
            TransportMode = transport == Transport.Sse ? HttpTransportMode.Sse : HttpTransportMode.StreamableHttp,
        },
        new HttpClient(handler ?? new SocketsHttpHandler()) { Timeout = Timeout.InfiniteTimeSpan },
        ownsHttpClient: true);

    /// <summary>A transport that finds out what the URL speaks.</summary>
    public static IClientTransport AnyHttp(Uri url) => new HttpClientTransport(new() { Name = "any", Endpoint = url, TransportMode = HttpTransportMode.AutoDetect });

    /// <summary>A name that no other call uses, of this client or of another one of the same server.</summary>
    public static string NewKey(string prefix) => string.Create(CultureInfo.InvariantCulture, $"{prefix}-{Interlocked.Increment(ref s_lastKey)}");

    /// <summary>Calls a tool and gives back the text of its result.</summary>
    public async Task<string> TextAsync(string tool, object? arguments = null, CancellationToken cancellationToken = default)
    {
        var result = await CallAsync(tool, arguments, cancellationToken: cancellationToken);
        result.IsError.ShouldNotBe(true, $"{tool}: {TextOf(result)}");
        return TextOf(result);
    }

    public Task<CallToolResult> CallAsync(string tool, object? arguments = null, JsonObject? meta = null, CancellationToken cancellationToken = default)
    {
        var members = JsonSerializer.SerializeToElement(arguments ?? new { }).Deserialize<Dictionary<string, JsonElement>>()!;
        return Sdk.CallToolAsync(new CallToolRequestParams { Name = tool, Arguments = members, Meta = meta }, cancellationToken).Within($"the answer to {tool}");
    }

    /// <summary>Opens a stream of changes (modern era), for which the SDK's client has no method of its own: a request that stays open.</summary>
    public Task<JsonRpcResponse> ListenAsync(string id, string uri, CancellationToken cancellationToken = default) => Sdk.SendRequestAsync(
        new()
        {
            Id = new(id),
            Method = RequestMethods.SubscriptionsListen,
            Params = new JsonObject { ["notifications"] = new JsonObject { ["toolsListChanged"] = true, ["resourceSubscriptions"] = new JsonArray(uri) } },
        },
        cancellationToken);

    /// <summary>The listen request that a notification belongs to.</summary>
    public static string? SubscriptionOf(JsonNode? parameters) => parameters?["_meta"]?[MetaKeys.SubscriptionId]?.ToString();

    /// <summary>Gives a request up.</summary>
    /// <param name="id">The request's id.</param>
    /// <param name="giveUp">The source of the token that the request was made with.</param>
    /// <param name="byHangingUp">Whether the transport cancels by closing the request's own stream.</param>
    public async Task CancelAsync(RequestId id, CancellationTokenSource giveUp, bool byHangingUp)
    {
        if (!byHangingUp)
        {
            // The SDK's client (2.3.1) takes its own registration back before the token's callback can send this.
            await Sdk.SendNotificationAsync(NotificationMethods.CancelledNotification, new CancelledNotificationParams { RequestId = id }).Within("notifications/cancelled");
        }

        await giveUp.CancelAsync();
    }

    /// <summary>The first notification that is wanted, whether it came already or comes yet.</summary>
    public async Task<JsonRpcNotification> NotificationAsync(string method, Predicate<JsonNode?> isWanted)
    {
        var found = new TaskCompletionSource<JsonRpcNotification>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var registration = Sdk.RegisterNotificationHandler(method, (notification, _) =>
        {
            if (isWanted(notification.Params))
            {
                found.TrySetResult(notification);
            }

            return ValueTask.CompletedTask;
        });

        return Notifications(method).FirstOrDefault(notification => isWanted(notification.Params)) ?? await found.Task.Within(method);
    }

    public IEnumerable<JsonRpcNotification> Notifications(string method) => Received.OfType<JsonRpcNotification>().Where(notification => notification.Method == method);

    public ValueTask DisposeAsync() => Sdk.DisposeAsync();

    private static string TextOf(CallToolResult result) => string.Concat(result.Content.OfType<TextContentBlock>().Select(block => block.Text));

    private static McpClientOptions Options(string? protocolVersion) => new()
    {
        ProtocolVersion = protocolVersion,
        ClientInfo = new() { Name = "mcp-test-client", Version = "3.2.1" },
        Capabilities = new() { Elicitation = new() { Form = new(), Url = new() } },
        InitializationTimeout = TimeSpan.FromSeconds(30),

        // A probe that ran out while a busy machine starts two programs would turn a modern server into a legacy one.
        DiscoverProbeTimeout = TimeSpan.FromSeconds(20),
        Handlers = new()
        {
            ElicitationHandler = (_, _) => ValueTask.FromResult(new ElicitResult
            {
                Action = "accept",
                Content = new Dictionary<string, JsonElement>(StringComparer.Ordinal) { ["name"] = JsonSerializer.SerializeToElement(UserName) },
            }),
            SamplingHandler = (request, _, _) => ValueTask.FromResult(new CreateMessageResult
            {
                Model = ModelName,
                Role = Role.Assistant,
                Content = [new TextContentBlock { Text = $"re: {request!.Messages[0].Content.OfType<TextContentBlock>().Single().Text}" }],
            }),
            RootsHandler = (_, _) => ValueTask.FromResult(new ListRootsResult { Roots = [.. RootUris.Select(uri => new Root { Uri = uri })] }),
        },
    };
}
