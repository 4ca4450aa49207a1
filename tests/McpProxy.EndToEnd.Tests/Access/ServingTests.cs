using System.Net;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.CommandLine;
using McpProxy.EndToEnd.Tests.Programs;
using McpProxy.Tests;

namespace McpProxy.EndToEnd.Tests.Access;

/// <summary>The program lets in who may come in, and nobody else.</summary>
public sealed class ServingTests(ITestOutputHelper output) : EndToEndTest(output)
{
    private const string Key = "correct-horse=battery";

    private readonly string _folder = Directory.CreateTempSubdirectory("mcp-proxy-access-").FullName;

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [InlineData("argument")]
    [InlineData("peer's argument")]
    [InlineData("expansion")]
    [InlineData("variable")]
    [InlineData("file")]
    public async Task A_key_lets_in_wherever_it_was_given_and_is_not_in_the_list_of_processes(string place)
    {
        string[] words = place switch
        {
            "argument" => ["--api-key", Key],
            "peer's argument" => [$"--apiKey={Key}"],
            "expansion" => ["--api-key", "${MY_KEY}"],
            "file" => ["--api-key-file", Write("keys", $"# ours\nanother\n\n  {Key}  \n")],
            _ => [],
        };
        var environment = place switch { "expansion" => With("MY_KEY", Key), "variable" => With("MCP_PROXY_API_KEY", Key), _ => null };
        var proxy = Serve(words, environment);
        var url = await proxy.ListeningAsync(Transport.StreamableHttp);

        using (var without = new RawHttp(url))
        {
            var (refused, _) = await without.PostAsync(Messages.Initialize(1));
            refused.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
            refused.Headers.WwwAuthenticate.ToString().ShouldBe("Bearer realm=\"mcp-proxy\"");
        }

        await using var client = await TestClient.ConnectAsync(TestClient.Http(url, Transport.StreamableHttp, new CredentialHandler("X-API-Key", Key)), null);
        (await client.TextAsync("echo", new { text = "hello" })).ShouldContain("hello");
        proxy.Errors.ToString().ShouldNotContain(Key);
        if (OperatingSystem.IsLinux())
        {
            (await File.ReadAllTextAsync($"/proc/{proxy.Id}/cmdline", TestContext.Current.CancellationToken)).ShouldNotContain(Key);
        }
    }

    [Theory]
    [InlineData(Transport.StreamableHttp, Era.Legacy)]
    [InlineData(Transport.StreamableHttp, Era.Modern)]
    [InlineData(Transport.Sse, Era.Legacy)]
    public async Task Every_transport_asks(Transport transport, Era era)
    {
        var proxy = Serve(["--basic-auth", "ann:pa:ss"], null, era);
        var url = await proxy.ListeningAsync(transport);
        var ann = $"Basic {Convert.ToBase64String("ann:pa:ss"u8)}";

        await using (var client = await TestClient.ConnectAsync(TestClient.Http(url, transport, new CredentialHandler("Authorization", ann)), TestClient.VersionOf(era)))
        {
            (await client.TextAsync("echo", new { text = "hello" })).ShouldContain("hello");
        }

        var eve = $"Basic {Convert.ToBase64String("ann:pass"u8)}";
        await Should.ThrowAsync<HttpRequestException>(() => TestClient.ConnectAsync(TestClient.Http(url, transport, new CredentialHandler("Authorization", eve)), TestClient.VersionOf(era)));
        await proxy.Errors.FirstAsync("the refusal", line => line.Contains("Turned 127.0.0.1 away (basic): no such user, or another password", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("Authorization", "Bearer " + Key)]
    [InlineData("X-API-Key", Key)]
    [InlineData("Authorization", "Basic YW5uOnBhc3M=")]
    public async Task What_a_client_shows_stays_here(string header, string value)
    {
        await using var upstream = await RecordingListener.StartAsync();
        var proxy = Own(Proxy.Start(["--port", "0", "--api-key", Key, "--basic-auth", "ann:pass", "--header", "X-Own: mine", upstream.Url]));
        var url = await proxy.ListeningAsync(Transport.StreamableHttp);

        await using (var client = await TestClient.ConnectAsync(TestClient.Http(url, Transport.StreamableHttp, new CredentialHandler(header, value)), "2025-11-25"))
        {
            await client.Sdk.ListToolsAsync(cancellationToken: TestContext.Current.CancellationToken);
        }

        upstream.Values("X-Own").Count().ShouldBeGreaterThan(2);
        upstream.Values("X-Own").ShouldAllBe(seen => seen == "mine");
        upstream.Values("Authorization").ShouldAllBe(seen => seen.Length == 0);
        upstream.Values("X-API-Key").ShouldAllBe(seen => seen.Length == 0);
    }

    [Theory]
    [InlineData("0.0.0.0", "--api-key", Key)]
    [InlineData("*", "--api-key", Key)]
    [InlineData("0.0.0.0", "--no-auth")]
    [InlineData("localhost")]
    [InlineData("LOCALHOST")]
    [InlineData("::1")]
    [InlineData("127.0.0.2")]
    public async Task An_address_of_the_network_is_served_when_it_is_meant(string host, params string[] words)
    {
        Assert.SkipWhen(host == "::1" && !System.Net.Sockets.Socket.OSSupportsIPv6, "there is no IPv6");
        var proxy = Serve(["--host", host, .. words], null);

        await proxy.ListeningAsync(Transport.StreamableHttp);
        proxy.Terminate();
        (await proxy.ExitAsync()).ShouldBe(0);

        proxy.Errors.Lines.Count(line => line.Contains("clients are not authenticated", StringComparison.Ordinal)).ShouldBe(words is ["--no-auth"] ? 1 : 0);
    }

    [Fact]
    public async Task A_foreign_host_learns_nothing_on_any_path()
    {
        var proxy = Serve(["--health-path", "/healthz"], null);
        var url = await proxy.ListeningAsync(Transport.StreamableHttp);
        using var http = new HttpClient();
        foreach (var path in new[] { "/mcp", "/healthz", "/unknown", "/", "/.well-known/oauth-protected-resource" })
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(url, path)) { Headers = { Host = "rebound.example" } };
            using var answer = await http.SendAsync(request, TestContext.Current.CancellationToken);
            answer.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
        }

        (await http.GetStringAsync(new Uri(url, "/healthz"), TestContext.Current.CancellationToken)).Trim().ShouldBe("ok");
    }

    [Fact]
    public async Task Https_is_served_with_the_options_of_a_peer()
    {
        using var authority = new TestAuthority("test authority");
        using var certificate = authority.Issue("server", TestAuthority.Server);
        var proxy = Serve(
            ["--sslCert", Write("tls.crt", certificate.ExportCertificatePem()), "--sslKey", Write("tls.key", certificate.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem()), "--apiKey", Key], null);
        var url = await proxy.ListeningAsync(Transport.StreamableHttp);
        url.Scheme.ShouldBe("https");
        using var http = Client(authority);

        (await PostAsync(http, url, "X-API-Key", "wrong")).ShouldBe(401);
        (await PostAsync(http, url, "X-API-Key", Key)).ShouldBe(200);
        proxy.Terminate();
        (await proxy.ExitAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task A_certificate_of_the_authority_lets_in_and_nothing_else_does()
    {
        using var authority = new TestAuthority("test authority");
        using var other = new TestAuthority("test authority");
        using var certificate = authority.Issue("server", TestAuthority.Server);
        using var ann = authority.Issue("ann", TestAuthority.Client);
        using var eve = other.Issue("ann", TestAuthority.Client);
        var both = Write("tls.pem", certificate.ExportCertificatePem() + "\n" + certificate.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem());
        var proxy = Serve(["--host", "0.0.0.0", "--tls-cert", both, "--tls-client-ca", Write("ca.pem", authority.Pem)], null);
        var url = new UriBuilder(await proxy.ListeningAsync(Transport.StreamableHttp)) { Host = "127.0.0.1" }.Uri;
        using var good = Client(authority, ann);
        using var bad = Client(authority, eve);
        using var none = Client(authority);

        (await PostAsync(good, url, "X-Unused", "x")).ShouldBe(200);
        await Should.ThrowAsync<HttpRequestException>(() => PostAsync(bad, url, "X-Unused", "x"));
        await Should.ThrowAsync<HttpRequestException>(() => PostAsync(none, url, "X-Unused", "x"));
        proxy.Errors.ToString().ShouldNotContain("not authenticated");
    }

    private static HttpClient Client(TestAuthority authority, X509Certificate2? shows = null) => new(new SocketsHttpHandler
    {
        SslOptions = new SslClientAuthenticationOptions
        {
            LocalCertificateSelectionCallback = (_, _, _, _, _) => shows!,
            CertificateChainPolicy = new() { TrustMode = X509ChainTrustMode.CustomRootTrust, CustomTrustStore = { authority.Certificate }, RevocationMode = X509RevocationMode.NoCheck },
        },
    });

    private static async Task<int> PostAsync(HttpClient http, Uri url, string header, string value)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, url) { Content = new StringContent(Messages.Initialize(1), System.Text.Encoding.UTF8, "application/json") };
        request.Headers.Add(header, value);
        request.Headers.Accept.ParseAdd("application/json, text/event-stream");
        using var answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken).Within("the answer");
        return (int)answer.StatusCode;
    }

    private static Dictionary<string, string?> With(string name, string value) => new(StringComparer.Ordinal) { [name] = value };

    private Proxy Serve(IEnumerable<string> words, IReadOnlyDictionary<string, string?>? environment, Era era = Era.Legacy) =>
        Own(Proxy.Start(["--port", "0", .. words, .. Proxy.ChildOptions, "--", .. TestServer.Command(era)], environment));

    private string Write(string name, string content)
    {
        var path = Path.Combine(_folder, name);
        File.WriteAllText(path, content);
        return path;
    }
}
