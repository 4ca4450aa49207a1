using System.Text.Json;
using McpProxy.NodePeers.Tests.Scenery;

namespace McpProxy.NodePeers.Tests.OAuth;

/// <summary>oidc-provider, and the MCP server that it protects: <c>tests/oidc-provider</c>.</summary>
internal sealed class AuthorizationServer
{
    private static readonly string s_directory = Path.GetFullPath(Path.Combine(ProxyProgram.PeersDirectory, "..", "..", "oidc-provider"));
    private static readonly HttpClient s_http = new();

    private readonly JsonElement _addresses;

    private AuthorizationServer(JsonElement addresses) => _addresses = addresses;

    public string Issuer => _addresses.Text("issuer");

    /// <summary>The address of the MCP server, which is also the name of the resource.</summary>
    public string Url => _addresses.Text("url");

    /// <summary>Skips the test where the npm packages are missing.</summary>
    public static void Need() => Requirement.Need(
        File.Exists(Path.Combine(s_directory, "node_modules", ".package-lock.json")), $"the npm packages are missing: run `npm ci` in {s_directory}");

    public static async Task<AuthorizationServer> StartAsync(Scene scene, object options)
    {
        var process = scene.Start("authorization server", NodePackages.Node, Path.Combine(s_directory, "server.mjs"), JsonSerializer.Serialize(options));
        return new(await process.EventAsync("listening"));
    }

    /// <summary>What has happened so far.</summary>
    public async Task<History> SeenAsync()
    {
        using var seen = JsonDocument.Parse(await s_http.GetByteArrayAsync(_addresses.Text("seen")));
        return new(seen.RootElement.Clone());
    }

    /// <summary>The MCP server refuses the access tokens that it has seen.</summary>
    public Task ExpireAsync() => PostAsync("expire");

    /// <summary>The authorization server forgets the refresh tokens.</summary>
    public Task ForgetAsync() => PostAsync("forget");

    private async Task PostAsync(string name)
    {
        using var response = await s_http.PostAsync(_addresses.Text(name), content: null);
        response.EnsureSuccessStatusCode();
    }
}
