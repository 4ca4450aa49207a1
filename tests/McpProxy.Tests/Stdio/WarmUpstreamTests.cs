using McpProxy.Transports.Stdio;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Stdio;

/// <summary>Servers that are started in advance (<c>--warm</c>).</summary>
public sealed class WarmUpstreamTests
{
    [Fact]
    public async Task A_spare_that_is_taken_is_replaced()
    {
        var upstream = new FakeUpstream(() => new FakePeer());
        await using var warm = new WarmUpstream(upstream, 2);
        FakePeer[] spares = [await upstream.NextAsync(), await upstream.NextAsync()];
        for (var i = 0; i < 200; i++)
        {
            // As soon as the replacement is there the next is taken: the filling may be about to end just then.
            var taken = warm.Connect();
            taken.ShouldBe(spares[0], "the oldest has had the most time to start");
            spares = [spares[1], await upstream.NextAsync()];
        }

        upstream.Count.ShouldBe(202);
    }

    [Fact]
    public async Task A_dead_spare_is_passed_over()
    {
        var upstream = new FakeUpstream(() => new FakePeer());
        await using var warm = new WarmUpstream(upstream, 2);
        var (dead, alive) = (await upstream.NextAsync(), await upstream.NextAsync());
        dead.Gone = Task.CompletedTask;
        warm.Connect().ShouldBe(alive);
        await upstream.NextAsync();
        await upstream.NextAsync();
        dead.IsDisposed.ShouldBeTrue();
    }

    [Fact]
    public async Task A_command_that_cannot_be_started_is_not_tried_over_and_over()
    {
        var upstream = new FakeUpstream(() => new FakePeer { Gone = Task.CompletedTask });
        await using var warm = new WarmUpstream(upstream, 3);
        var first = await upstream.NextAsync();
        await using (var taken = warm.Connect())
        {
            // It is the session that has to hear why.
            taken.ShouldNotBe(first);
        }

        upstream.Count.ShouldBeLessThanOrEqualTo(3, "one at first, the session's own, and one more attempt for the next");
    }

    [Fact]
    public async Task The_spares_end_with_the_program()
    {
        var upstream = new FakeUpstream(() => new FakePeer());
        var warm = new WarmUpstream(upstream, 3);
        FakePeer[] spares = [await upstream.NextAsync(), await upstream.NextAsync(), await upstream.NextAsync()];
        var taken = warm.Connect();
        await warm.DisposeAsync();
        var all = upstream.Count;
        spares.Where(spare => spare != taken).ShouldAllBe(spare => spare.IsDisposed);
        ((FakePeer)taken).IsDisposed.ShouldBeFalse("it belongs to its session");
        warm.Connect();
        upstream.Count.ShouldBe(all + 1, "nothing is started for nobody any more");
    }
}
