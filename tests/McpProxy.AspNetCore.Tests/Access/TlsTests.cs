using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using McpProxy.AspNetCore.Access;
using McpProxy.AspNetCore.Access.Tls;
using McpProxy.Tests;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Access;

/// <summary>Serving HTTPS: which certificate is shown, which are asked for, and what happens when the files change.</summary>
public sealed class TlsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("mcp-proxy-tls-").FullName;
    private readonly TestAuthority _authority = new("test authority");
    private readonly ManualTime _time = new();

    public void Dispose()
    {
        _authority.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [InlineData("two files")]
    [InlineData("one file")]
    [InlineData("encrypted key")]
    [InlineData("older form of key")]
    public async Task The_certificate_is_shown(string form)
    {
        using var certificate = _authority.Issue("server", TestAuthority.Server);
        var files = form switch
        {
            "one file" => new TlsFiles { CertificateFile = Write("both.pem", certificate.ExportCertificatePem() + "\n" + KeyPem(certificate)) },
            "encrypted key" => Files(certificate) with
            {
                KeyFile = Write("tls.key", certificate.GetECDsaPrivateKey()!.ExportEncryptedPkcs8PrivateKeyPem("opensesame", new(PbeEncryptionAlgorithm.Aes256Cbc, HashAlgorithmName.SHA256, 1000))),
                KeyPassword = "opensesame",
            },
            "older form of key" => Files(certificate) with { KeyFile = Write("tls.key", certificate.GetECDsaPrivateKey()!.ExportECPrivateKeyPem()) },
            _ => Files(certificate),
        };
        await using var server = await GuardedServer.StartAsync(null, tls: files);
        server.Url.Scheme.ShouldBe("https");

        (await ShownAsync(server)).ShouldBe(certificate.Thumbprint);
    }

    [Fact]
    public async Task What_leads_to_the_authority_is_sent_along()
    {
        using var between = new TestAuthority("between", _authority);
        using var certificate = between.Issue("server", TestAuthority.Server);
        await using var server = await GuardedServer.StartAsync(null, tls: Files(certificate) with { CertificateFile = Write("chain.pem", certificate.ExportCertificatePem() + "\n" + between.Pem) });
        using var client = Client(trusts: _authority.Certificate);

        (await client.GetStringAsync(new Uri(server.Url, "/health"), TestContext.Current.CancellationToken)).ShouldBe("ok");
    }

    [Fact]
    public async Task Versions_that_were_broken_are_not_spoken()
    {
        using var certificate = _authority.Issue("server", TestAuthority.Server);
        await using var server = await GuardedServer.StartAsync(null, tls: Files(certificate));

        (await ConnectAsync(server, SslProtocols.Tls12)).ShouldBe(SslProtocols.Tls12);
        (await ConnectAsync(server, SslProtocols.None)).ShouldBe(SslProtocols.Tls13);
#pragma warning disable SYSLIB0039, CA5397 // That it is refused is the test.
        await Should.ThrowAsync<Exception>(() => ConnectAsync(server, SslProtocols.Tls11));
#pragma warning restore SYSLIB0039, CA5397
    }

    [Fact]
    public async Task A_new_certificate_is_shown_to_new_connections()
    {
        using var first = _authority.Issue("server", TestAuthority.Server);
        using var second = _authority.Issue("server", TestAuthority.Server);
        await using var server = await GuardedServer.StartAsync(null, time: _time, tls: Files(first));
        using var open = Client(trusts: _authority.Certificate);
        await open.GetStringAsync(new Uri(server.Url, "/health"), TestContext.Current.CancellationToken);

        Files(second);
        (await ShownAsync(server)).ShouldBe(first.Thumbprint, "nobody has looked yet");
        _time.Advance(ServerTls.Period);

        (await ShownAsync(server)).ShouldBe(second.Thumbprint);
        (await open.GetStringAsync(new Uri(server.Url, "/health"), TestContext.Current.CancellationToken)).ShouldBe("ok", "a connection goes on as it began");
        server.Log.All.Count(line => line.StartsWith("New connections use", StringComparison.Ordinal)).ShouldBe(1);
    }

    [Fact]
    public async Task A_certificate_behind_swapped_links_is_seen()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "links need a privilege there");
        using var first = _authority.Issue("server", TestAuthority.Server);
        using var second = _authority.Issue("server", TestAuthority.Server);

        // As Kubernetes lays out a secret: the names stay, what they lead to is swapped.
        Place("..1", first);
        Place("..2", second);
        Directory.CreateSymbolicLink(Path.Combine(_folder, "..data"), "..1");
        File.CreateSymbolicLink(Path.Combine(_folder, "tls.crt"), "..data/tls.crt");
        File.CreateSymbolicLink(Path.Combine(_folder, "tls.key"), "..data/tls.key");
        await using var server = await GuardedServer.StartAsync(
            null, time: _time, tls: new() { CertificateFile = Path.Combine(_folder, "tls.crt"), KeyFile = Path.Combine(_folder, "tls.key") });

        Directory.Delete(Path.Combine(_folder, "..data"));
        Directory.CreateSymbolicLink(Path.Combine(_folder, "..data"), "..2");
        _time.Advance(ServerTls.Period);

        (await ShownAsync(server)).ShouldBe(second.Thumbprint);
    }

    [Fact]
    public async Task Files_that_cannot_be_used_change_nothing_and_are_told_of_once()
    {
        using var first = _authority.Issue("server", TestAuthority.Server);
        using var second = _authority.Issue("server", TestAuthority.Server);
        await using var server = await GuardedServer.StartAsync(null, time: _time, tls: Files(first));

        // The new certificate is there before its key.
        Write("tls.crt", second.ExportCertificatePem());
        _time.Advance(ServerTls.Period * 3);
        (await ShownAsync(server)).ShouldBe(first.Thumbprint);
        server.Log.Warnings.ShouldHaveSingleItem().ShouldContain("stays in use");
        server.Log.Warnings[0].ShouldContain("cannot be used together");

        File.Delete(Path.Combine(_folder, "tls.key"));
        _time.Advance(ServerTls.Period * 3);
        (await ShownAsync(server)).ShouldBe(first.Thumbprint);
        server.Log.Warnings.Count.ShouldBe(2);

        Files(second);
        _time.Advance(ServerTls.Period);
        (await ShownAsync(server)).ShouldBe(second.Thumbprint);
    }

    [Theory]
    [InlineData("no certificate", "no certificate in")]
    [InlineData("no key", "no private key in")]
    [InlineData("key of another", "cannot be used together")]
    [InlineData("encrypted", "is encrypted, and there is no password")]
    [InlineData("wrong password", "with the password that was given")]
    [InlineData("no file", "cannot be read")]
    [InlineData("no authority", "no certificate authority in")]
    public void What_is_wrong_with_the_files_is_said(string problem, string message)
    {
        using var certificate = _authority.Issue("server", TestAuthority.Server);
        using var other = _authority.Issue("other", TestAuthority.Server);
        var encrypted = certificate.GetECDsaPrivateKey()!.ExportEncryptedPkcs8PrivateKeyPem("opensesame", new(PbeEncryptionAlgorithm.Aes256Cbc, HashAlgorithmName.SHA256, 1000));
        var files = Files(certificate);
        files = problem switch
        {
            "no certificate" => files with { CertificateFile = Write("x", "nothing") },
            "no key" => files with { KeyFile = null },
            "key of another" => files with { KeyFile = Write("x", KeyPem(other)) },
            "encrypted" => files with { KeyFile = Write("x", encrypted) },
            "wrong password" => files with { KeyFile = Write("x", encrypted), KeyPassword = "guess" },
            "no file" => files with { CertificateFile = Path.Combine(_folder, "missing") },
            _ => files with { ClientAuthorityFile = Write("x", "nothing") },
        };

        Should.Throw<ArgumentException>(() => new ServerTls(files, _time)).Message.ShouldContain(message);
    }

    [Fact]
    public async Task A_client_with_a_certificate_of_the_authority_comes_in_and_is_known_by_it()
    {
        await using var server = await StartMutualAsync();
        using var ann = _authority.Issue("ann", TestAuthority.Client);
        using var client = Client(_authority.Certificate, ann);

        for (var i = 0; i < 2; i++)
        {
            ((int)(await client.PostAsync(new Uri(server.Url, "/mcp").AbsoluteUri, Http.Initialize)).StatusCode).ShouldBe(200);
            server.LastPrincipal.ShouldBe($"Certificate\n\nann.clients.test#{ann.GetCertHashString(HashAlgorithmName.SHA256)}");
        }
    }

    [Theory]
    [InlineData("none")]
    [InlineData("of another authority")]
    [InlineData("of another authority of the same name")]
    [InlineData("for servers")]
    [InlineData("expired")]
    [InlineData("signed by itself")]
    public async Task Any_other_client_does_not_get_a_connection(string certificate)
    {
        await using var server = await StartMutualAsync();
        using var other = new TestAuthority(certificate == "of another authority of the same name" ? "test authority" : "other authority");
        using var shown = certificate switch
        {
            "none" => null,
            "of another authority" or "of another authority of the same name" => other.Issue("ann", TestAuthority.Client),
            "for servers" => _authority.Issue("ann", TestAuthority.Server),
            "expired" => _authority.Issue("ann", TestAuthority.Client, days: -1),
            _ => X509CertificateLoader.LoadPkcs12(other.Certificate.Export(X509ContentType.Pkcs12), null),
        };
        using var client = Client(_authority.Certificate, shown);

        await Should.ThrowAsync<HttpRequestException>(() => client.PostAsync(new Uri(server.Url, "/mcp").AbsoluteUri, Http.Initialize));
        await Should.ThrowAsync<HttpRequestException>(() => client.GetStringAsync(new Uri(server.Url, "/health")));
        server.LastPrincipal.ShouldBeNull();
        server.Log.Warnings.ShouldNotBeEmpty();
        server.Log.Warnings.ShouldAllBe(line => line.StartsWith($"Turned 127.0.0.1 away (client certificate): {(certificate == "none" ? "it has none" : "it is not good for a client here: ")}"));
    }

    [Fact]
    public async Task A_certificate_through_another_authority_comes_in_when_that_is_sent_along()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "what is sent along has to be in a store there");
        await using var server = await StartMutualAsync();
        using var between = new TestAuthority("between", _authority);
        using var ann = between.Issue("ann", TestAuthority.Client);
        using var tcp = new System.Net.Sockets.TcpClient();
        await tcp.ConnectAsync(server.Url.Host, server.Url.Port, TestContext.Current.CancellationToken);
        await using var tls = new SslStream(tcp.GetStream());
        await tls.AuthenticateAsClientAsync(
            new()
            {
                TargetHost = "localhost",
                ClientCertificateContext = SslStreamCertificateContext.Create(ann, [between.Certificate], offline: true),
                RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate is not null,
            },
            TestContext.Current.CancellationToken);
        await tls.WriteAsync("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"u8.ToArray(), TestContext.Current.CancellationToken);
        var answer = new byte[64];

        (await tls.ReadAsync(answer, TestContext.Current.CancellationToken)).ShouldBeGreaterThan(0);
        System.Text.Encoding.ASCII.GetString(answer).ShouldStartWith("HTTP/1.1 200");
    }

    [Fact]
    public async Task A_new_authority_counts_as_soon_as_its_file_is_there()
    {
        await using var server = await StartMutualAsync();
        using var other = new TestAuthority("other authority");
        using var bob = other.Issue("bob", TestAuthority.Client);
        Write("clients.pem", other.Pem);
        _time.Advance(ServerTls.Period);
        using var client = Client(_authority.Certificate, bob);

        (await client.GetStringAsync(new Uri(server.Url, "/health"), TestContext.Current.CancellationToken)).ShouldBe("ok");
        using var ann = _authority.Issue("ann", TestAuthority.Client);
        using var before = Client(_authority.Certificate, ann);
        await Should.ThrowAsync<HttpRequestException>(() => before.GetStringAsync(new Uri(server.Url, "/health")));
    }

    [Fact]
    public async Task Who_shows_a_wrong_key_is_not_let_in_by_a_certificate()
    {
        await using var server = await StartMutualAsync(new() { AcceptsClientCertificates = true, ApiKeys = [ApiKey.Of("key")] });
        using var ann = _authority.Issue("ann", TestAuthority.Client);
        using var client = Client(_authority.Certificate, ann);
        var url = new Uri(server.Url, "/mcp").AbsoluteUri;

        ((int)(await client.PostAsync(url, Http.Initialize)).StatusCode).ShouldBe(200);
        server.LastPrincipal!.ShouldStartWith("Certificate\n");
        ((int)(await client.PostAsync(url, Http.Initialize, headers: ("X-API-Key", "key"))).StatusCode).ShouldBe(200);
        server.LastPrincipal!.ShouldStartWith("ApiKey\n");
        ((int)(await client.PostAsync(url, Http.Initialize, headers: ("X-API-Key", "wrong"))).StatusCode).ShouldBe(401);
    }

    private static string KeyPem(X509Certificate2 certificate) => certificate.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem();

    private static HttpClient Client(X509Certificate2 trusts, X509Certificate2? shows = null) => new(new SocketsHttpHandler
    {
        SslOptions = new()
        {
            ClientCertificates = shows is null ? [] : [shows],
            LocalCertificateSelectionCallback = (_, _, _, _, _) => shows!,
            CertificateChainPolicy = new() { TrustMode = X509ChainTrustMode.CustomRootTrust, CustomTrustStore = { trusts }, RevocationMode = X509RevocationMode.NoCheck },
        },
    });

    private static async Task<string> ShownAsync(GuardedServer server)
    {
        string? shown = null;
        await ConnectAsync(server, SslProtocols.None, certificate => shown = certificate.GetCertHashString());
        return shown!;
    }

    private static async Task<SslProtocols> ConnectAsync(GuardedServer server, SslProtocols protocols, Action<X509Certificate>? see = null)
    {
        using var tcp = new System.Net.Sockets.TcpClient();
        await tcp.ConnectAsync(server.Url.Host, server.Url.Port, TestContext.Current.CancellationToken);
        await using var tls = new SslStream(tcp.GetStream());
        await tls.AuthenticateAsClientAsync(
            new()
            {
                TargetHost = "localhost",
                EnabledSslProtocols = protocols,
                RemoteCertificateValidationCallback = (_, certificate, _, _) =>
                {
                    see?.Invoke(certificate!);
                    return certificate is not null;
                },
            },
            TestContext.Current.CancellationToken);
        return tls.SslProtocol;
    }

    private async Task<GuardedServer> StartMutualAsync(InboundAuthenticationOptions? options = null)
    {
        using var certificate = _authority.Issue("server", TestAuthority.Server);
        return await GuardedServer.StartAsync(options ?? new() { AcceptsClientCertificates = true }, time: _time, tls: Files(certificate) with { ClientAuthorityFile = Write("clients.pem", _authority.Pem) });
    }

    private TlsFiles Files(X509Certificate2 certificate) =>
        new() { CertificateFile = Write("tls.crt", certificate.ExportCertificatePem()), KeyFile = Write("tls.key", KeyPem(certificate)) };

    private void Place(string folder, X509Certificate2 certificate)
    {
        Directory.CreateDirectory(Path.Combine(_folder, folder));
        Write($"{folder}/tls.crt", certificate.ExportCertificatePem());
        Write($"{folder}/tls.key", KeyPem(certificate));
    }

    private string Write(string name, string content)
    {
        var path = Path.Combine(_folder, name);
        File.WriteAllText(path, content);
        return path;
    }
}
