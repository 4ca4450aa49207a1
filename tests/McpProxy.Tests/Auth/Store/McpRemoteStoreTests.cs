using System.Security.Cryptography;
using System.Text;
using McpProxy.Auth;
using McpProxy.Auth.Clients;
using McpProxy.Auth.Store;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Auth.Store;

public sealed class McpRemoteStoreTests : IDisposable
{
    private const string Server = "https://example.com/mcp";
    private const string ServerHash = "8724945d3c4865fe12d6890203193588";

    private readonly TemporaryFolder _root = new();
    private readonly LogCollector _log = new();

    public void Dispose() => _root.Dispose();

    [Fact]
    public void Files_have_the_names_that_mcp_remote_gives_them()
    {
        McpRemoteStore.HashOf(new(), Server).ShouldBe(ServerHash);
        McpRemoteStore.HashOf(new() { HeadersAsTyped = [new("Authorization", "Bearer ${AUTH_TOKEN}")] }, Server).ShouldBe("b7aa0bc24cf675c746e493a1c7fd344a");
        McpRemoteStore.HashOf(new() { Resource = "https://tenant1.atlassian.net/" }, "https://mcp.atlassian.com/v1/sse").ShouldBe("224d1023ed8b747f99479d42f28f0bb6");
    }

    [Fact]
    public void Parts_come_in_their_order_and_those_that_are_not_given_leave_no_trace()
    {
        var all = new OAuthOptions
        {
            Resource = "r",
            AuthorizeParameters = [new("b", "2"), new("a", "1"), new("b", "3")],
            HeadersAsTyped = [new("b", "x"), new("B", "y")],
            ClientMetadataUrl = new("https://c.test"),
            TokenEndpoint = new("https://t.test"),
        };
        McpRemoteStore.HashOf(all, "s").ShouldBe(Md5("""s|r|{"a":"1","b":"3"}|{"B":"y","b":"x"}|https://c.test|https://t.test"""));
        McpRemoteStore.HashOf(new() { Resource = "" }, Server).ShouldBe(ServerHash);
        McpRemoteStore.HashOf(new() { TokenEndpoint = new("https://t.test") }, "s").ShouldBe(Md5("s|https://t.test"));
    }

    [Fact]
    public void Values_are_escaped_as_JavaScript_does_it()
    {
        Hash("\"\\/\b\f\n\r\t\u0001\u001f").ShouldBe(Md5("""s|{"k":"\"\\/\b\f\n\r\t\u0001\u001f"}"""));
        Hash("é<>&'+`\u007f\u2028😀").ShouldBe(Md5("s|{\"k\":\"é<>&'+`\u007f\u2028😀\"}"));
        Hash("\ud83dx\ude00\ud83d").ShouldBe(Md5("""s|{"k":"\ud83dx\ude00\ud83d"}"""));

        static string Hash(string value) => McpRemoteStore.HashOf(new() { HeadersAsTyped = [new("k", value)] }, "s");
    }

    [Fact]
    public void A_whole_sign_in_is_found()
    {
        Write("mcp-remote-v1", "tokens", """{"access_token":"at","token_type":"bearer","refresh_token":"rt","scope":"a b","expires_in":60,"expires_at":1700000000123}""");
        Write("mcp-remote-v1", "client_info", """{"client_id":"c","client_secret":"s","redirect_uris":["http://localhost:1234/oauth/callback"],"token_endpoint_auth_method":"client_secret_post","client_secret_expires_at":0}""");
        var found = Find().ShouldNotBeNull();
        (found.Tokens.AccessToken, found.Tokens.RefreshToken, found.Tokens.Scope, found.Tokens.ClientId, found.Tokens.ExpiresAt).ShouldBe(("at", "rt", "a b", "c", 1700000000123L));
        var client = found.Client.ShouldNotBeNull();
        (client.ClientId, client.ClientSecret, client.TokenEndpointAuthMethod, client.ClientSecretExpiresAt).ShouldBe(("c", "s", "client_secret_post", null));
        client.RedirectUris.ShouldBe(["http://localhost:1234/oauth/callback"]);
        _log.Warnings.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("""{"access_token":"at","expires_in":3600}""", 1_600_003_600_000L)]
    [InlineData("""{"access_token":"at","expires_in":"60"}""", 1_600_000_060_000L)]
    [InlineData("""{"access_token":"at"}""", null)]
    public void Tokens_without_an_end_are_as_old_as_their_file(string json, long? expiresAt)
    {
        File.SetLastWriteTimeUtc(Write("mcp-remote-0.1.0", "tokens", json), DateTime.UnixEpoch.AddSeconds(1_600_000_000));
        Find().ShouldNotBeNull().Tokens.ExpiresAt.ShouldBe(expiresAt);
    }

    /// <summary>Files of others are not to be trusted with anything.</summary>
    [Theory]
    [InlineData("999999999999999")]
    [InlineData("-999999999999999")]
    [InlineData("\"9223372036854775807\"")]
    public void An_end_beyond_all_calendars_does_no_harm(string time)
    {
        Write("mcp-remote-v1", "tokens", $$"""{"access_token":"at","expires_at":{{time}}}""");
        Write("mcp-remote-v1", "client_info", $$"""{"client_id":"c","client_secret":"s","client_secret_expires_at":{{time}}}""");
        var found = Find().ShouldNotBeNull();
        found.Tokens.ToTokens().AccessToken.ShouldBe("at");
        found.Client.ShouldNotBeNull().ToClient("https://as.test").Id.ShouldBe("c");
    }

    [Fact]
    public void The_folder_without_a_version_counts_first_and_then_the_newest()
    {
        Folder("mcp-remote-0.1.9", "third");
        Folder("mcp-remote-0.1.10", "second");
        Folder("mcp-remote-odd", "last");
        Folder("mcp-remote-v1", "first");
        Folder("other", "never");
        foreach (var folder in (string[])["v1", "0.1.10", "0.1.9", "odd"])
        {
            Find().ShouldNotBeNull().Tokens.AccessToken.ShouldBe(folder switch { "v1" => "first", "0.1.10" => "second", "0.1.9" => "third", _ => "last" });
            Directory.Delete(_root.File($"mcp-remote-{folder}"), recursive: true);
        }

        Find().ShouldBeNull();

        void Folder(string name, string token) => Write(name, "tokens", $$"""{"access_token":"{{token}}"}""");
    }

    [Theory]
    [InlineData("", true)]
    [InlineData("garbage", true)]
    [InlineData("[]", true)]
    [InlineData("{}", false)]
    [InlineData("""{"access_token":""}""", false)]
    [InlineData("""{"access_token":7}""", false)]
    public void A_file_that_is_of_no_use_leads_to_the_next_folder(string json, bool warns)
    {
        Write("mcp-remote-v1", "tokens", json);
        Write("mcp-remote-0.1.1", "tokens", """{"access_token":"at"}""");
        Find().ShouldNotBeNull().Tokens.AccessToken.ShouldBe("at");
        _log.Warnings.Count().ShouldBe(warns ? 1 : 0);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("garbage")]
    [InlineData("""{"client_secret":"s"}""")]
    public void Tokens_without_a_registration_belong_to_the_client_of_the_options(string? registration)
    {
        Write("mcp-remote-v1", "tokens", """{"access_token":"at"}""");
        if (registration is not null)
        {
            Write("mcp-remote-v1", "client_info", registration);
        }

        var found = Find(new() { Client = new OAuthClient("given") }).ShouldNotBeNull();
        found.Client.ShouldBeNull();
        found.Tokens.ClientId.ShouldBe("given");
    }

    [Fact]
    public void Accounts_of_ours_and_missing_folders_find_nothing()
    {
        Find(root: _root.File("missing")).ShouldBeNull();
        Find().ShouldBeNull();
        Write("mcp-remote-v1", "tokens", """{"access_token":"at"}""");
        Find(new() { Profile = "work" }).ShouldBeNull();
        Find(server: Server + "/").ShouldBeNull();
    }

    private ForeignSignIn? Find(OAuthOptions? options = null, string? root = null, string server = Server) => new McpRemoteStore(root ?? _root.Path, _log).Find(options ?? new(), server);

    private string Write(string folder, string kind, string json)
    {
        Directory.CreateDirectory(_root.File(folder));
        var path = Path.Combine(_root.File(folder), $"{ServerHash}_{kind}.json");
        File.WriteAllText(path, json);
        return path;
    }

#pragma warning disable CA5351 // What the other program uses.
    private static string Md5(string text) => Convert.ToHexStringLower(MD5.HashData(Encoding.UTF8.GetBytes(text)));
#pragma warning restore CA5351
}
