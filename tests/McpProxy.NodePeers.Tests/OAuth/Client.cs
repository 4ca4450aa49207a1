using System.Text.Json;
using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests.OAuth;

/// <summary>An MCP client that does what the test says: <c>peers/client-oauth.mjs</c>.</summary>
internal sealed class Client(Peer process)
{
    private readonly SemaphoreSlim _turn = new(1);
    private int _requests;

    public Peer Process => process;

    /// <summary>The process of its proxy.</summary>
    public async Task<int> ProxyAsync() => (await process.EventAsync("connected")).GetProperty("proxy").GetInt32();

    /// <summary>Whom the protected server takes the client for: the claims of its token.</summary>
    public async Task<JsonElement> WhoAmIAsync()
    {
        var text = Answer(await AskAsync("call whoami")).GetProperty("content")[0].Text("text");
        using var claims = JsonDocument.Parse(text);
        return claims.RootElement.Clone();
    }

    /// <summary>A request that fails.</summary>
    public async Task<JsonElement> FailureAsync(string request)
    {
        var answer = await AskAsync(request);
        answer.TryGetProperty("error", out var error).ShouldBeTrue(answer.ToString());
        return error;
    }

    /// <summary>A request that does not.</summary>
    public async Task<JsonElement> ResultAsync(string request) => Answer(await AskAsync(request));

    public Task<JsonElement> NotificationAsync(string method) =>
        process.EventAsync("notification", notification => notification.Text("method") == method);

    private async Task<JsonElement> AskAsync(string request)
    {
        var number = Interlocked.Increment(ref _requests);
        await _turn.WaitAsync();
        try
        {
            await process.TellAsync($"{number} {request}");
        }
        finally
        {
            _turn.Release();
        }

        return await process.EventAsync("answer", answer => answer.GetProperty("number").GetInt32() == number);
    }

    private JsonElement Answer(JsonElement answer)
    {
        if (answer.TryGetProperty("error", out var error))
        {
            Assert.Fail($"the request failed: {error}{process}");
        }

        return answer.GetProperty("result");
    }
}
