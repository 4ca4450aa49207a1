using System.Security.Cryptography.X509Certificates;
using McpProxy.Transports.Http.Tls;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Network;

public sealed class TlsSettingsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("mcp-proxy-tls-").FullName;
    private readonly TestAuthority _authority = new("an authority");

    public void Dispose()
    {
        _authority.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Authority_of_a_file_is_trusted()
    {
        using var certificate = _authority.Issue("a server", TestAuthority.Server);
        (await IsTrustedAsync(certificate, _authority.Pem)).ShouldBeTrue();
    }

    [Fact]
    public async Task Intermediate_that_the_server_shows_is_followed()
    {
        var root = new TestAuthority("a root");
        using var intermediate = new TestAuthority("an intermediate", root);
        using var certificate = intermediate.Issue("a server", TestAuthority.Server);
        (await IsTrustedAsync(certificate, root.Pem, intermediate.Certificate)).ShouldBeTrue();
    }

    [Fact]
    public async Task Another_authority_is_not()
    {
        using var other = new TestAuthority("another");
        using var certificate = other.Issue("a server", TestAuthority.Server);
        (await IsTrustedAsync(certificate, _authority.Pem)).ShouldBeFalse();
    }

    [Fact]
    public async Task Certificate_that_has_expired_is_not()
    {
        using var certificate = _authority.Issue("a server", TestAuthority.Server, days: -1);
        (await IsTrustedAsync(certificate, _authority.Pem)).ShouldBeFalse();
    }

    [Fact]
    public async Task Certificate_of_a_client_is_not()
    {
        using var certificate = _authority.Issue("localhost", TestAuthority.Client);
        (await IsTrustedAsync(certificate, _authority.Pem, target: "localhost.clients.test")).ShouldBeFalse();
    }

    [Fact]
    public async Task Certificate_for_another_name_is_not()
    {
        using var certificate = _authority.Issue("a server", TestAuthority.Server);
        (await IsTrustedAsync(certificate, _authority.Pem, target: "elsewhere.example")).ShouldBeFalse();
    }

    private async Task<bool> IsTrustedAsync(X509Certificate2 certificate, string authorities, X509Certificate2? intermediate = null, string target = "localhost")
    {
        var refusal = await TlsHandshake.RefusalAsync(TlsSettings.Of(new() { AuthorityFiles = [FileWith(authorities)] }), certificate, intermediate, target);
        return refusal is null;
    }

    private string FileWith(string pem)
    {
        var file = Path.Combine(_folder, "authority.pem");
        File.WriteAllText(file, pem);
        return file;
    }
}
