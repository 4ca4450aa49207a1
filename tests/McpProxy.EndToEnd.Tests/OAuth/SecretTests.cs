using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.OAuth.Servers;

namespace McpProxy.EndToEnd.Tests.OAuth;

/// <summary>What may not be seen where others look.</summary>
public sealed class SecretTests(ITestOutputHelper output) : OAuthTest(output)
{
    private const string Secret = "correct-horse-battery";

    [Theory]
    [InlineData("debug")]
    [InlineData("trace")]
    public async Task Nothing_secret_is_logged(string level)
    {
        Browser.SignInAtOnce();
        Authorization.BehaveLikeKeycloak();
        var session = Start("--log-level", level);
        await session.IntroduceAsync();
        await session.CallAsync("echo", "x");
        Authorization.ExpireAccessTokens();
        await session.CallAsync(ProtectedServer.GuardedTool);
        Authorization.RevokeAll();
        await session.CallAsync("echo", "x");
        Authorization.ExpireAccessTokens();
        Authorization.Misbehavior[Endpoint.Token] = Faults.OAuthError("server_error", "sorry", 500);
        await session.FailAsync();
        await session.EndAsync();

        ShouldHideSecrets(session);
        Browser.Visits.All.Count.ShouldBe(3, "there was something to see");
    }

    [Fact]
    public async Task Nothing_secret_is_logged_by_a_machine()
    {
        Authorization.Add(new("svc") { Secret = Secret, AuthMethod = "client_secret_post" });
        Authorization.EditMetadata = metadata => metadata["token_endpoint_auth_methods_supported"] = new JsonArray("client_secret_post");
        var session = Start(Era.Legacy, Url, With("MCP_PROXY_CLIENT_SECRET", Secret), "--client-credentials", "--client-id", "svc", "--log-level", "trace");
        await session.IntroduceAsync();
        await session.CallAsync("echo", "x");
        await session.EndAsync();

        ShouldHideSecrets(session);
    }

    [Fact]
    public async Task Nothing_secret_is_logged_by_a_device()
    {
        var session = Start("--device-code", "--auth-wait", "120", "--log-level", "trace");
        await session.IntroduceAsync();
        await Authorization.Requests.FirstAsync("a poll", request => request.GrantType == AuthorizationServer.DeviceCodeGrant);
        Authorization.ApproveDevice("WDJB-1000");
        await session.CallAsync("echo", "x");
        await session.EndAsync();

        ShouldHideSecrets(session);
    }

    [Theory]
    [InlineData("variable")]
    [InlineData("expansion")]
    [InlineData("file")]
    [InlineData("argument")]
    public async Task Nothing_secret_is_in_the_list_of_processes(string place)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs /proc");
        Authorization.Add(new("svc") { Secret = Secret, AuthMethod = "client_secret_basic" });
        string[] words = place switch
        {
            "variable" => [],
            "argument" => ["--client-secret", Secret],
            "expansion" => ["--client-secret", "${MCP_PROXY_CLIENT_SECRET}"],
            _ => ["--client-secret", $"@{Write("secret.txt", Secret)}"],
        };
        var session = Start(Era.Legacy, Url, place is "file" or "argument" ? null : With("MCP_PROXY_CLIENT_SECRET", Secret), [.. words, "--client-credentials", "--client-id", "svc"]);
        await session.IntroduceAsync();
        await session.CallAsync("echo", "x");

        var commandLine = await File.ReadAllTextAsync($"/proc/{session.Proxy.Id}/cmdline", TestContext.Current.CancellationToken);

        commandLine.ShouldContain("--client-id");
        commandLine.ShouldNotContain(Secret);
    }

    [Fact]
    public async Task Token_goes_into_the_header_of_requests_to_the_server_alone()
    {
        Browser.SignInAtOnce();
        var session = Start();
        await session.IntroduceAsync();
        await session.CallAsync("echo", "x");

        Authorization.Requests.All.ShouldAllBe(request => request.Bearer == null);
        Server.Requests.Where(request => request.Path.StartsWith("/.well-known", StringComparison.Ordinal)).ShouldAllBe(request => request.Bearer == null);
        Server.Requests.All.ShouldAllBe(request => !Authorization.Secrets.Any(secret => request.ToString().Contains(secret, StringComparison.Ordinal)));
    }

    private void ShouldHideSecrets(StdioSession session)
    {
        Authorization.Secrets.Count.ShouldBeGreaterThan(1);
        foreach (var line in session.Proxy.Errors.Lines.Concat(session.Proxy.Output.Lines))
        {
            foreach (var secret in Authorization.Secrets)
            {
                line.ShouldNotContain(secret);
            }
        }
    }
}
