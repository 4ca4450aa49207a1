using System.Security.Cryptography.X509Certificates;
using McpProxy.Transports.Http.Tls;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Network;

/// <summary>Authorities of the system are looked up by name, and what they sign is verified like everywhere.</summary>
public sealed class SystemRootsTests : IDisposable
{
    private const string NotTrusted = "its certificate is signed by no authority that is trusted";

    private readonly string _folder = Directory.CreateTempSubdirectory("mcp-proxy-roots-").FullName;
    private readonly TestAuthority _authority = new("an authority");

    public SystemRootsTests() => Directory.CreateDirectory(Path.Combine(_folder, "certs"));

    public void Dispose()
    {
        _authority.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Authority_among_many_in_a_file_is_found()
    {
        using var before = new TestAuthority("one before");
        using var after = new TestAuthority("one after");
        Bundle(
            "# a comment\r\n-----BEGIN CERTIFICATE-----\r\nbm90IGEgY2VydGlmaWNhdGU=\r\n-----END CERTIFICATE-----\r\n",
            "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
            "-----BEGIN TRUSTED CERTIFICATE-----\nAAAA\n-----END TRUSTED CERTIFICATE-----\n",
            before.Pem,
            _authority.Pem.ReplaceLineEndings("\r\n"),
            after.Pem,
            "-----BEGIN CERTIFICATE-----\nAAAA");
        using var certificate = _authority.Issue("a server", TestAuthority.Server);
        (await RefusalAsync(certificate)).ShouldBeNull();
    }

    [Fact]
    public async Task Authority_in_a_directory_is_found()
    {
        await File.WriteAllTextAsync(Path.Combine(_folder, "certs", "0a1b2c3d.0"), _authority.Pem, TestContext.Current.CancellationToken);
        using var certificate = _authority.Issue("a server", TestAuthority.Server);
        (await RefusalAsync(certificate)).ShouldBeNull();
    }

    [Fact]
    public async Task Intermediate_that_the_server_shows_leads_to_one()
    {
        var root = new TestAuthority("a root");
        using var intermediate = new TestAuthority("an intermediate", root);
        using var certificate = intermediate.Issue("a server", TestAuthority.Server);
        Bundle(_authority.Pem, root.Pem);
        (await RefusalAsync(certificate, intermediate.Certificate)).ShouldBeNull();
        (await RefusalAsync(certificate)).ShouldBe(NotTrusted);
    }

    [Fact]
    public async Task Intermediate_in_the_file_is_no_authority_without_its_root()
    {
        var root = new TestAuthority("a root");
        using var intermediate = new TestAuthority("an intermediate", root);
        using var certificate = intermediate.Issue("a server", TestAuthority.Server);
        Bundle(intermediate.Pem);
        (await RefusalAsync(certificate, intermediate.Certificate)).ShouldBe(NotTrusted);
    }

    [Fact]
    public async Task Authority_of_the_users_file_is_trusted_besides()
    {
        using var own = new TestAuthority("the user's");
        using var certificate = own.Issue("a server", TestAuthority.Server);
        using var another = _authority.Issue("a server", TestAuthority.Server);
        Bundle(_authority.Pem);
        var file = Path.Combine(_folder, "own.pem");
        await File.WriteAllTextAsync(file, own.Pem, TestContext.Current.CancellationToken);
        (await RefusalAsync(certificate, authorityFile: file)).ShouldBeNull();
        (await RefusalAsync(another, authorityFile: file)).ShouldBeNull();
    }

    [Fact]
    public async Task Intermediate_beside_its_root_in_a_file_is_followed()
    {
        var root = new TestAuthority("a root");
        using var intermediate = new TestAuthority("an intermediate", root);
        using var certificate = intermediate.Issue("a server", TestAuthority.Server);
        Bundle(root.Pem, intermediate.Pem);
        (await RefusalAsync(certificate)).ShouldBeNull();
    }

    [Fact]
    public async Task Another_key_under_the_name_of_an_authority_is_not_trusted()
    {
        using var impostor = new TestAuthority("an authority");
        using var certificate = impostor.Issue("a server", TestAuthority.Server);
        Bundle(_authority.Pem);
        (await RefusalAsync(certificate, impostor.Certificate)).ShouldNotBeNull();
    }

    [Fact]
    public async Task Unknown_authority_is_not_trusted_even_when_it_is_shown()
    {
        using var other = new TestAuthority("another");
        using var certificate = other.Issue("a server", TestAuthority.Server);
        Bundle(_authority.Pem);
        (await RefusalAsync(certificate, other.Certificate)).ShouldBe(NotTrusted);
    }

    [Fact]
    public async Task Nothing_is_trusted_where_there_are_no_authorities()
    {
        using var certificate = _authority.Issue("a server", TestAuthority.Server);
        (await RefusalAsync(certificate)).ShouldBe(NotTrusted);
    }

    [Fact]
    public async Task Certificate_that_has_expired_is_refused()
    {
        Bundle(_authority.Pem);
        using var certificate = _authority.Issue("a server", TestAuthority.Server, days: -1);
        (await RefusalAsync(certificate))!.ShouldContain("expired");
    }

    [Fact]
    public async Task Certificate_of_a_client_is_refused()
    {
        Bundle(_authority.Pem);
        using var certificate = _authority.Issue("localhost", TestAuthority.Client);
        (await RefusalAsync(certificate, target: "localhost.clients.test"))!.ShouldStartWith("its certificate is not valid");
    }

    [Fact]
    public async Task Certificate_for_another_name_is_refused()
    {
        Bundle(_authority.Pem);
        using var certificate = _authority.Issue("a server", TestAuthority.Server);
        (await RefusalAsync(certificate, target: "elsewhere.example")).ShouldBe("its certificate is for another name");
    }

    [Fact]
    public void Authorities_of_this_machine_can_all_be_looked_up()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && File.Exists("/etc/ssl/certs/ca-certificates.crt"), "Another system");
        X509Certificate2Collection all = [];
        all.ImportFromPemFile("/etc/ssl/certs/ca-certificates.crt");
        var place = new PemFileRoots("/etc/ssl/certs/ca-certificates.crt");
        foreach (var root in all)
        {
            place.Find([root.SubjectName.RawData]).ShouldContain(root);
        }
    }

    private Task<string?> RefusalAsync(X509Certificate2 certificate, X509Certificate2? intermediate = null, string target = "localhost", string? authorityFile = null)
    {
        var roots = new SystemRoots([Path.Combine(_folder, "bundle.pem")], [Path.Combine(_folder, "certs"), Path.Combine(_folder, "none")]);
        return TlsHandshake.RefusalAsync(TlsSettings.Of(new() { AuthorityFiles = authorityFile is null ? [] : [authorityFile] }, roots), certificate, intermediate, target);
    }

    private void Bundle(params string[] blocks) => File.WriteAllText(Path.Combine(_folder, "bundle.pem"), string.Join('\n', blocks));
}
