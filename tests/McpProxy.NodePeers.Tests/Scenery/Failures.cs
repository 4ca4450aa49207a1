using System.Text.Json;
using Shouldly;

namespace McpProxy.NodePeers.Tests.Scenery;

/// <summary>What a client in the scenario "hang" must be told when its call cannot end well.</summary>
internal static class Failures
{
    /// <summary>An answer of the proxy, that is: not just the end of the connection.</summary>
    public static async Task<JsonElement> ShouldHearFromTheProxyAsync(this Peer client)
    {
        var failure = await client.EventAsync("failure");

        // The SDK has the same code for a connection that breaks, but a text of its own.
        failure.GetProperty("code").GetInt32().ShouldBe(-32000, failure.Text("message"));
        failure.Text("message").ShouldNotContain("Connection closed");
        return failure;
    }

    /// <summary>An answer that says what became of the server.</summary>
    public static async Task ShouldHearOfAnExitAsync(this Peer client) => (await client.ShouldHearFromTheProxyAsync()).Text("message").ShouldContain("exited");
}
