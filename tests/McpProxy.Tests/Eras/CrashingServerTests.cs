using McpProxy.JsonRpc;
using McpProxy.Transports;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Eras;

/// <summary>A command that keeps dying, and modern clients who go on asking.</summary>
public sealed class CrashingServerTests : BridgeTest
{
    private static readonly TimeSpan s_pause = TimeSpan.FromSeconds(0.5);

    [Fact]
    public async Task Modern_server_that_keeps_dying_is_started_after_a_pause_until_it_has_answered_a_client()
    {
        OnMessage = Modern;
        var client = Connect("a");
        await client.SayAsync(Wire.Discover);
        await client.NextAsync();
        await DieOfAsync(client, 1);
        await DieOfAsync(client, 2);

        var asking = client.SayAsync(Wire.ModernCall(3));
        await UntilAsync(() => Time.IsAwaitedIn(s_pause) || Upstream.Count > 2);
        Upstream.Count.ShouldBe(2, "both have died");
        Time.Advance(s_pause);
        await asking;
        var third = await Upstream.NextAsync();
        await third.SayAsync(Wire.Result((await NextAsync(third))["id"], "{}"));
        (await client.NextObjectAsync())["result"].ShouldNotBeNull();

        await DieOfAsync(client, 4, third);
        await DieOfAsync(client, 5);
    }

    [Fact]
    public async Task Server_that_dies_of_being_started_is_asked_what_it_speaks_after_a_pause()
    {
        using var stop = new CancellationTokenSource();
        var dying = DieAlwaysAsync(stop.Token);
        for (var id = 1; id <= 2; id++)
        {
            var client = Connect("a");
            await client.SayAsync(Wire.ModernCall(id));
            (await client.NextObjectAsync())["error"].ShouldNotBeNull();
        }

        var started = Upstream.Count;
        var asking = Connect("a").SayAsync(Wire.ModernCall(3));
        await UntilAsync(() => Time.IsAwaitedIn(s_pause) || Upstream.Count > started);
        Upstream.Count.ShouldBe(started);
        await asking;
        await stop.CancelAsync();
        await dying;
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!condition())
        {
            timeout.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }

    private static string? Modern(JsonRpcMessage message) =>
        message.Is("server/discover"u8) ? $$"""{"jsonrpc":"2.0","id":{{message.Id}},"result":{{Wire.DiscoverResult}}}""" : null;

    private async Task DieOfAsync(BridgeClient client, int id, FakePeer? server = null)
    {
        await client.SayAsync(Wire.ModernCall(id));
        server ??= await Upstream.NextAsync();
        await NextAsync(server);
        server.End(ConnectionEndReason.ChildExited, "dead", 1);
        (await client.NextObjectAsync())["error"]!["message"]!.GetValue<string>().ShouldBe("dead");
    }

    private async Task DieAlwaysAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (!cancellationToken.IsCancellationRequested)
            {
                (await Upstream.NextAsync().WaitAsync(cancellationToken)).End(ConnectionEndReason.ChildExited, "dead", 1);
            }
        }
        catch (OperationCanceledException)
        {
            // Enough.
        }
    }
}
