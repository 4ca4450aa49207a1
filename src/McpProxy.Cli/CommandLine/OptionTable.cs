using System.Globalization;

namespace McpProxy.Cli.CommandLine;

/// <summary>
/// Every spelling of every option: ours, and those of the programs that people come from, so that a command line pasted
/// from one of their pages works or says why it does not.
/// </summary>
internal static class OptionTable
{
    private const string OneServer = "this version serves one server; run one mcp-proxy for each";

    /// <summary>All spellings, by name.</summary>
    public static IReadOnlyDictionary<string, OptionSpelling> Spellings { get; } =
        Canonical().Concat(Aliases()).Concat(Refused()).ToDictionary(spelling => spelling.Name, StringComparer.Ordinal);

    private static IEnumerable<OptionSpelling> Canonical() =>
    [
        Ours("--transport", 1), Ours("--header", 1), Ours("--header-file", 1), Ours("--connect-timeout", 1), Ours("--headers-timeout", 1),
        Ours("--client-id", 1), Ours("--client-secret", 1), Ours("--client-key", 1), Ours("--client-key-id", 1), Ours("--client-metadata-url", 1),
        Ours("--static-oauth-client-info", 1), Ours("--static-oauth-client-metadata", 1), Ours("--scope", 1), Ours("--resource", 1), Ours("--disable-resource-parameter", 0),
        Ours("--authorize-param", 1), Ours("--callback-host", 1), Ours("--callback-port", 1), Ours("--callback-path", 1), Ours("--auth-success-url", 1),
        Ours("--auth-timeout", 1), Ours("--auth-wait", 1), Ours("--auth-profile", 1), Ours("--token-store", 1), Ours("--no-browser", 0), Ours("--no-oauth", 0),
        Ours("--device-code", 0), Ours("--client-credentials", 0), Ours("--token-endpoint", 1), Ours("--assertion-file", 1),
        Ours("--idp-issuer", 1), Ours("--idp-token-endpoint", 1), Ours("--idp-client-id", 1), Ours("--idp-client-secret", 1), Ours("--idp-id-token-file", 1),
        Ours("--allow-http", 0), Ours("--ca-file", 1), Ours("--client-cert", 1), Ours("--client-cert-key", 1), Ours("--insecure", 0),
        Ours("--cwd", 1), Ours("--pass-environment", 0),
        Ours("--port", 1), Ours("--host", 1), Ours("--path", 1), Ours("--sse-path", 1), Ours("--messages-path", 1), Ours("--base-url", 1),
        Ours("--allow-host", 1), Ours("--allow-origin", 1) with { IsGreedy = true, Rewrite = values => [.. values.SelectMany(value => value.Split(',')).SelectMany(value => (string[])["--allow-origin", value])] },
        Ours("--health-path", 1), Ours("--metrics-path", 1), Ours("--session-idle-timeout", 1), Ours("--max-sessions", 1), Ours("--replay-max-events", 1),
        Ours("--child", 1), Ours("--stateless", 0), Ours("--stateless-servers", 1), Ours("--warm", 1), Ours("--exit-with-child", 0), Ours("--header-to-env", 1),
        Ours("--request-timeout", 1), Ours("--request-timeout-max", 1),
        Ours("--api-key", 1), Ours("--api-key-file", 1), Ours("--basic-auth", 1), Ours("--basic-auth-file", 1), Ours("--auth-issuer", 1), Ours("--auth-audience", 1), Ours("--auth-scope", 1),
        Ours("--no-auth", 0), Ours("--tls-cert", 1), Ours("--tls-key", 1), Ours("--tls-key-password", 1), Ours("--tls-client-ca", 1),
        Ours("--max-message-size", 1), Ours("--drain-timeout", 1),
        Ours("--max-requests-per-session", 1), Ours("--max-requests-per-client", 1), Ours("--rate-limit", 1), Ours("--rate-burst", 1), Ours("--max-json-depth", 1),
        Ours("--max-header-count", 1), Ours("--max-header-size", 1), Ours("--max-connections", 1), Ours("--client-header-timeout", 1), Ours("--client-body-timeout", 1), Ours("--idle-connection-timeout", 1),
        Ours("--bridge", 1), Ours("--upstream-protocol", 1), Ours("--downstream-protocol", 1), Ours("--bridge-idle-timeout", 1),
        Ours("--log-level", 1) with { Rewrite = values => ["--log-level", LogLevelWord(values[0])] },
        Ours("--log-format", 1), Ours("--debug", 0), Ours("--silent", 0), Ours("--version", 0), Ours("--help", 0),
        Pair("-H", "--header", ": ", first => first.Contains(": ", StringComparison.Ordinal)),
        Pair("--headers", "--header", ": ", first => first.Contains(": ", StringComparison.Ordinal)) with { IsCanonical = true },
        Pair("-e", "--env", "=", first => first.Contains('=', StringComparison.Ordinal)),
        Pair("--env", "--env", "=", first => first.Contains('=', StringComparison.Ordinal)) with { IsCanonical = true },
    ];

    private static IEnumerable<OptionSpelling> Aliases() =>
    [
        // stephenlacy/mcp-proxy and sparfenyuk/mcp-proxy
        Alias("--sse-port", "--port"), Alias("--sse-host", "--host"), Alias("-V", "--version", 0), Alias("-h", "--help", 0), Alias("-?", "--help", 0),
        Nothing("--no-pass-environment"), Nothing("--no-debug"), Nothing("--no-stateless"), Nothing("--expose-header", 1),

        new("--token-url", 1) { Rewrite = values => ["--token-endpoint", values[0], "--client-credentials"] },
        Alias("--no-verify-ssl", "--insecure", 0), new("--verify-ssl", 1) { ValueIsOptional = true, Rewrite = values => VerifySsl(values.Length == 0 ? "true" : values[0]) },
        Alias("-insecure", "--insecure", 0),

        // mcp-remote
        Alias("--protocol", "--upstream-protocol"),
        Nothing("--enable-proxy"), Nothing("--keep-alive"), Nothing("--ping-interval", 1), Nothing("--body-timeout", 1),

        // supergateway
        new("--stdio", 1) { Rewrite = values => [NormalizedCommandLine.StdioMarker, values[0]] },
        new("--sse", 1) { Rewrite = values => ["--transport", "sse-only", NormalizedCommandLine.UrlMarker, values[0]] },
        .. Both("--streamableHttp", "--streamable-http", name => new(name, 1) { Rewrite = values => ["--transport", "http-only", NormalizedCommandLine.UrlMarker, values[0]] }),
        .. Both("--outputTransport", "--output-transport", name => new(name, 1) { Rewrite = values => OutputTransport(values[0]) }),
        .. Both("--baseUrl", "--baseurl", name => Alias(name, "--base-url")),
        .. Both("--ssePath", "--ssepath", name => Alias(name, "--sse-path")),
        .. Both("--messagePath", "--message-path", name => Alias(name, "--messages-path")),
        .. Both("--streamableHttpPath", "--streamable-http-path", name => Alias(name, "--path")),
        Nothing("--stateful"),
        .. Both("--sessionTimeout", "--session-timeout", name => Milliseconds(name, "--session-idle-timeout")),
        .. Both("--protocolVersion", "--protocol-version", name => Nothing(name, 1)),
        .. Both("--oauth2Bearer", "--oauth2-bearer", name => new(name, 1) { Rewrite = values => ["--header", $"Authorization: Bearer {values[0]}"] }),
        new("--logLevel", 1) { Rewrite = values => ["--log-level", LogLevelWord(values[0])] },
        new("--cors", 1) { ValueIsOptional = true, Rewrite = values => ["--allow-origin", values.Length == 0 ? "*" : values[0]] },
        .. Both("--healthEndpoint", "--health-endpoint", name => Alias(name, "--health-path")),

        // punkpeye/mcp-proxy
        Nothing("--server", 1), Alias("--endpoint", "--sse-path"),
        .. Both("--sseEndpoint", "--sse-endpoint", name => Alias(name, "--sse-path")),
        .. Both("--streamEndpoint", "--stream-endpoint", name => Alias(name, "--path")),
        Alias("--upstreamProtocol", "--upstream-protocol"), new("--no-modern", 0) { Rewrite = _ => ["--downstream-protocol", "legacy"] },
        Nothing("--modern"), new("--shell", 0) { Rewrite = _ => [NormalizedCommandLine.ShellMarker] },
        Alias("--apiKey", "--api-key"),
        .. Both("--sslCert", "--ssl-cert", name => Alias(name, "--tls-cert")),
        .. Both("--sslKey", "--ssl-key", name => Alias(name, "--tls-key")),
        .. Both("--sslCa", "--ssl-ca", name => Alias(name, "--tls-client-ca")),
        .. Both("--corsAddAllowedHeader", "--cors-add-allowed-header", name => Nothing(name, 1)),
        Milliseconds("--requestTimeout", "--request-timeout"),
        .. Both("--connectionTimeout", "--connection-timeout", name => Milliseconds(name, "--connect-timeout")),
        .. Both("--keepAliveTimeout", "--keep-alive-timeout", name => Milliseconds(name, "--idle-connection-timeout")),
        .. Both("--gracefulShutdownTimeout", "--graceful-shutdown-timeout", name => Milliseconds(name, "--drain-timeout")),
        .. Both("--eventStore", "--event-store", name => Nothing(name)),
        .. Both("--eventStoreMaxEvents", "--event-store-max-events", name => Alias(name, "--replay-max-events")),
        .. Both("--maxBodySize", "--max-body-size", name => new(name, 1) { Rewrite = values => values[0] == "0" ? [] : ["--max-message-size", values[0]] }),
    ];

    private static IEnumerable<OptionSpelling> Refused() =>
    [
        .. Refuse("servers are given access tokens only, as the specification says; ID tokens are for the client they were issued to", 0, "--use-id-token"),
        .. Refuse(OneServer, 1, "--named-server", "--named-server-config", "--config", "-config"),
        .. Refuse("tools are not filtered in this version", 1, "--ignore-tool"),
        .. Refuse("addresses are chosen by the system", 0, "--ipv4"),
        .. Refuse("cookies are kept in memory for the session and go to the server that set them only", 0, "--disable-cookies"),
        .. Refuse("events are kept in bounded memory so that clients can resume; --replay-max-events sets how many", 0, "--no-eventStore", "--no-event-store"),
        .. Refuse("it would send your traffic through a third party's service", 0, "--tunnel"),
        .. Refuse("it would send your traffic through a third party's service", 1, "--tunnelSubdomain", "--tunnel-subdomain"),
        .. Refuse("give headers with --header \"Name: value\"", 1, "-http-headers", "--http-headers"),
        .. Refuse("variables are expanded in header values: ${NAME}", 0, "-expand-env", "--expand-env"),
        .. Refuse("use --connect-timeout", 1, "-http-timeout", "--http-timeout"),
    ];

    private static OptionSpelling Ours(string name, int values) => new(name, values) { IsCanonical = true, Rewrite = given => [name, .. given] };

    private static OptionSpelling Alias(string name, string canonical, int values = 1) => new(name, values) { Rewrite = given => [canonical, .. given] };

    private static OptionSpelling Nothing(string name, int values = 0) => new(name, values);

    private static OptionSpelling Pair(string name, string canonical, string separator, Func<string, bool> isWhole) =>
        new(name, 2) { IsWholePair = isWhole, Rewrite = values => [canonical, values.Length == 1 ? values[0] : values[0] + separator + values[1]] };

    private static OptionSpelling Milliseconds(string name, string canonical) => new(name, 1)
    {
        Rewrite = values => double.TryParse(values[0], NumberStyles.Float, CultureInfo.InvariantCulture, out var milliseconds)
            ? [canonical, (milliseconds / 1000).ToString(CultureInfo.InvariantCulture)]
            : throw new UsageException($"{name} takes milliseconds, not \"{values[0]}\""),
    };

    private static IEnumerable<OptionSpelling> Both(string camel, string kebab, Func<string, OptionSpelling> make) => [make(camel), make(kebab)];

    private static IEnumerable<OptionSpelling> Refuse(string why, int values, params string[] names) =>
        names.Select(name => new OptionSpelling(name, values) { Refusal = why });

    /// <summary>A word for yes or no, or the file with the certificate authorities to trust.</summary>
    private static string[] VerifySsl(string word) => word.ToLowerInvariant() switch
    {
        "true" or "yes" or "on" or "1" => [],
        "false" or "no" or "off" or "0" => ["--insecure"],
        _ => ["--ca-file", word],
    };

    private static string[] OutputTransport(string word) => word switch
    {
        "stdio" => [NormalizedCommandLine.OutputMarker, "stdio"],
        "sse" or "streamableHttp" => [NormalizedCommandLine.OutputMarker, "http"],
        "ws" => throw new UsageException("--outputTransport ws is refused: WebSocket is no transport of the protocol; use streamableHttp"),
        _ => throw new UsageException($"--outputTransport takes stdio, sse or streamableHttp, not \"{word}\""),
    };

    private static string LogLevelWord(string word) => word.ToLowerInvariant() switch
    {
        "info" or "information" => "info",
        "warn" or "warning" => "warning",
        "none" or "off" or "silent" => "none",
        "critical" or "fatal" => "critical",
        var other => other,
    };
}
