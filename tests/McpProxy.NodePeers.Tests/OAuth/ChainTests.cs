using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests.OAuth;

/// <summary>
/// A client, a proxy that signs in for it, a proxy that lets in who has signed in, and a server that knows nothing of all that: a real authorization
/// server signs the tokens that one of them gets and the other checks.
/// </summary>
public sealed class ChainTests(Chromium chromium)
{
    private const string Secret = "s3cret: 100% + more/?&=";

    [Fact]
    public async Task A_user_signs_in_and_comes_through()
    {
        var (scene, guard) = await OpenAsync(NodePackages.LegacyServer);
        await using var _ = scene;
        var client = scene.ClientOf(guard.StreamableHttpUrl);
        var call = client.ResultAsync("call echo");

        await scene.SignInAsync(await scene.BrowsedAsync());

        (await call).GetProperty("content")[0].Text("text").ShouldBe("hello");
        var seen = await scene.Server.SeenAsync();
        seen.TokenRequests.ShouldHaveSingleItem().GetProperty("params").Text("resource").ShouldBe(guard.StreamableHttpUrl);
        seen.Authorizations.ShouldHaveSingleItem().Text("scope").Split(' ').ShouldContain("mcp:tools");
        guard.Process.ToString().ShouldNotContain("Turned ");
    }

    [Fact]
    public async Task A_machine_comes_through_without_anybody()
    {
        var (scene, guard) = await OpenAsync(NodePackages.ModernServer);
        await using var _ = scene;
        scene.Set("MCP_PROXY_CLIENT_SECRET", Secret);

        var client = scene.ModernClientOf(guard.StreamableHttpUrl, "--client-credentials", "--client-id", "robot");

        (await client.ResultAsync("list")).GetProperty("tools").GetArrayLength().ShouldBeGreaterThan(0);
        scene.Browsed.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_token_for_another_server_of_the_same_authorization_server_does_not_do()
    {
        var (scene, guard) = await OpenAsync(NodePackages.LegacyServer);
        await using var _ = scene;
        scene.Set("MCP_PROXY_CLIENT_SECRET", Secret);

        var client = scene.ClientOf(guard.StreamableHttpUrl, "--client-credentials", "--client-id", "robot", "--resource", scene.Server.Url);

        await guard.Process.ErrorLineAsync("it is meant for another audience");
        (await client.Process.EventAsync("broken")).ToString().ShouldContain("it is meant for another audience");
    }

    private Task<(SignInScene Scene, ServingProxy Guard)> OpenAsync(string[] server) => FreePort.UseAsync(async port =>
    {
        NodePackages.Need();
        var robot = new
        {
            client_id = "robot",
            client_secret = Secret,
            token_endpoint_auth_method = "client_secret_basic",
            grant_types = (string[])["client_credentials"],
            response_types = Array.Empty<string>(),
            redirect_uris = Array.Empty<string>(),
        };
        var scene = await SignInScene.OpenAsync(chromium, new { resources = (string[])[$"http://127.0.0.1:{port}/mcp"], clients = (object[])[robot] });
        try
        {
            return (scene, await scene.GuardAsync(port, ["--auth-scope", "mcp:tools", "--", .. server]));
        }
        catch
        {
            await scene.DisposeAsync();
            throw;
        }
    });
}
