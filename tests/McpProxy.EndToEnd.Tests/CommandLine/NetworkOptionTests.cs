using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.CommandLine;

/// <summary>What is on the way to a server: its certificate, ours, and a company's proxy.</summary>
public sealed class NetworkOptionTests(ITestOutputHelper output) : EndToEndTest(output)
{
    private static readonly Dictionary<string, string?> s_noOtherAuthority = new(StringComparer.Ordinal) { ["NODE_EXTRA_CA_CERTS"] = null };

    private readonly string _folder = Directory.CreateTempSubdirectory("mcp-proxy-network-").FullName;

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Unknown_authority_is_refused()
    {
        var server = await StartAsync("localhost");

        var (proxy, answer) = await IntroduceAsync([server.Url], s_noOtherAuthority);

        answer.ShouldContain("--ca-file");
        proxy.Errors.ToString().ShouldNotContain("Certificates are not checked");
    }

    [Fact]
    public async Task Authority_of_a_file_is_trusted()
    {
        var server = await StartAsync("localhost");

        var (_, answer) = await IntroduceAsync([server.Url, "--ca-file", server.AuthorityFile], s_noOtherAuthority);

        answer.ShouldContain("\"recorder\"");
    }

    [Fact]
    public async Task Authority_of_the_system_is_trusted_besides_that_of_a_file()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Elsewhere the system's authorities are no file");
        var server = await StartAsync("localhost");
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var other = new CertificateRequest("CN=another authority", key, HashAlgorithmName.SHA256).CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        var otherFile = Path.Combine(_folder, "other.pem");
        await File.WriteAllTextAsync(otherFile, other.ExportCertificatePem());

        var (_, answer) = await IntroduceAsync(
            [server.Url, "--ca-file", otherFile],
            new Dictionary<string, string?>(s_noOtherAuthority, StringComparer.Ordinal) { ["SSL_CERT_FILE"] = server.AuthorityFile, ["SSL_CERT_DIR"] = _folder });

        answer.ShouldContain("\"recorder\"");
    }

    [Fact]
    public async Task Authority_that_people_gave_to_Node_is_trusted()
    {
        var server = await StartAsync("localhost");

        var (_, answer) = await IntroduceAsync([server.Url], new Dictionary<string, string?>(StringComparer.Ordinal) { ["NODE_EXTRA_CA_CERTS"] = server.AuthorityFile });

        answer.ShouldContain("\"recorder\"");
    }

    [Fact]
    public async Task Certificate_for_another_name_is_refused_whoever_signed_it()
    {
        var server = await StartAsync("elsewhere.example");

        var (_, answer) = await IntroduceAsync([server.Url, "--ca-file", server.AuthorityFile], s_noOtherAuthority);

        answer.ShouldContain("\"error\"");
    }

    [Fact]
    public async Task Insecure_accepts_all_and_says_so()
    {
        var server = await StartAsync("elsewhere.example");

        var (proxy, answer) = await IntroduceAsync([server.Url, "--insecure"], s_noOtherAuthority);

        answer.ShouldContain("\"recorder\"");
        proxy.Errors.ToString().ShouldContain("Certificates are not checked");
    }

    [Fact]
    public async Task Certificate_of_the_client_is_shown_to_the_server()
    {
        var shown = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        var server = await StartAsync("localhost", (_, certificate, _, _) => shown.TrySetResult(certificate?.Subject ?? "none") || true);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var certificate = new CertificateRequest("CN=a client", key, HashAlgorithmName.SHA256).CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        var (certificateFile, keyFile) = (Path.Combine(_folder, "client.pem"), Path.Combine(_folder, "client.key"));
        await File.WriteAllTextAsync(certificateFile, certificate.ExportCertificatePem());
        await File.WriteAllTextAsync(keyFile, key.ExportPkcs8PrivateKeyPem());

        var (_, answer) = await IntroduceAsync([server.Url, "--ca-file", server.AuthorityFile, "--client-cert", certificateFile, "--client-cert-key", keyFile], s_noOtherAuthority);

        answer.ShouldContain("\"recorder\"");
        (await shown.Task.Within("the client's certificate")).ShouldBe("CN=a client");
    }

    [Fact]
    public async Task Proxy_of_the_environment_is_used()
    {
        var company = Own(await RecordingListener.StartAsync());
        var address = company.Url[..^"/mcp".Length];

        var (_, answer) = await IntroduceAsync(["http://server.example/mcp"], new Dictionary<string, string?>(StringComparer.Ordinal) { ["http_proxy"] = address, ["HTTP_PROXY"] = address, ["NO_PROXY"] = null, ["no_proxy"] = null });

        answer.ShouldContain("\"recorder\"");
        company.Values("Host").ShouldContain("server.example");
    }

    [Fact]
    public async Task This_machine_is_reached_directly()
    {
        var server = Own(await RecordingListener.StartAsync());
        var nobody = new Dictionary<string, string?>(StringComparer.Ordinal) { ["http_proxy"] = "http://127.0.0.1:9", ["HTTP_PROXY"] = "http://127.0.0.1:9", ["NO_PROXY"] = null, ["no_proxy"] = null };

        var (_, answer) = await IntroduceAsync([server.Url], nobody);

        answer.ShouldContain("\"recorder\"");
    }

    private async Task<(Proxy Proxy, string Answer)> IntroduceAsync(IEnumerable<string> words, IReadOnlyDictionary<string, string?> environment)
    {
        var proxy = Own(Proxy.Start(words, environment));
        await proxy.Input.WriteLineAsync(Messages.Initialize(1));
        return (proxy, await proxy.Output.FirstAsync("the answer to initialize", line => line.Contains("\"id\":1", StringComparison.Ordinal)));
    }

    /// <summary>Starts a server with a certificate of an authority of its own.</summary>
    private async Task<SecureServer> StartAsync(string name, RemoteCertificateValidationCallback? checkClient = null)
    {
        var now = DateTimeOffset.UtcNow;
        using var authorityKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var authorityRequest = new CertificateRequest("CN=an authority", authorityKey, HashAlgorithmName.SHA256);
        authorityRequest.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, 0, critical: true));
        using var authority = authorityRequest.CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(name);
        request.CertificateExtensions.Add(names.Build());
        using var signed = request.Create(authority, now.AddDays(-1), now.AddDays(1), [1, 2, 3]);
        var certificate = X509CertificateLoader.LoadPkcs12(signed.CopyWithPrivateKey(key).Export(X509ContentType.Pkcs12), password: null);
        var file = Path.Combine(_folder, "authority.pem");
        await File.WriteAllTextAsync(file, authority.ExportCertificatePem());
        var listener = Own(await RecordingListener.StartAsync(new SslServerAuthenticationOptions
        {
            ServerCertificate = certificate,
            ClientCertificateRequired = checkClient is not null,
            RemoteCertificateValidationCallback = checkClient,
        }));
        return new(listener.Url.Replace(IPAddress.Loopback.ToString(), "localhost", StringComparison.Ordinal), file);
    }

    private sealed record SecureServer(string Url, string AuthorityFile);
}
