using McpProxy.AspNetCore.Limits;
using McpProxy.Tests;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Limits;

/// <summary>How fast clients may ask.</summary>
public sealed class RateLimiterTests
{
    private readonly ManualTime _time = new();

    [Fact]
    public void A_bucket_gives_its_burst_and_then_its_rate()
    {
        var bucket = new TokenBucket(2, 3, _time);
        Enumerable.Range(0, 5).Select(_ => bucket.TryTake(1)).ShouldBe([true, true, true, false, false]);
        bucket.Until(1).ShouldBe(TimeSpan.FromSeconds(0.5));
        _time.Advance(TimeSpan.FromSeconds(0.5));
        bucket.TryTake(1).ShouldBeTrue();
        bucket.TryTake(1).ShouldBeFalse();
        _time.Advance(TimeSpan.FromHours(1));
        bucket.IsFull.ShouldBeTrue();
        Enumerable.Range(0, 4).Select(_ => bucket.TryTake(1)).ShouldBe([true, true, true, false]);
    }

    [Fact]
    public void More_than_a_burst_can_be_had_at_the_price_of_waiting_longer()
    {
        var bucket = new TokenBucket(1, 3, _time);
        bucket.TryTake(10).ShouldBeTrue();
        _time.Advance(TimeSpan.FromSeconds(7));
        bucket.TryTake(1).ShouldBeFalse();
        _time.Advance(TimeSpan.FromSeconds(1));
        bucket.TryTake(1).ShouldBeTrue();
    }

    [Fact]
    public void Clients_have_allowances_of_their_own()
    {
        var limiter = new RateLimiter(new() { RequestsPerSecond = 1, Burst = 1 }, _time);
        limiter.Ask("a", 1).ShouldBeNull();
        limiter.Ask("a", 1).ShouldBe(TimeSpan.FromSeconds(1));
        limiter.Ask("b", 1).ShouldBeNull();
    }

    [Fact]
    public void Who_has_been_quiet_is_forgotten_first_and_nobody_grows_the_memory()
    {
        var limiter = new RateLimiter(new() { RequestsPerSecond = 1, Burst = 2 }, _time, maxClients: 10);
        for (var i = 0; i < 10; i++)
        {
            limiter.Ask($"old {i}", 2).ShouldBeNull();
        }

        // All are remembered for a reason: newcomers share one allowance.
        limiter.Ask("new 1", 2).ShouldBeNull();
        limiter.Ask("new 2", 2).ShouldNotBeNull();
        limiter.Ask("old 0", 2).ShouldNotBeNull();
        limiter.Count.ShouldBe(10);

        _time.Advance(TimeSpan.FromSeconds(2));
        limiter.Ask("new 2", 2).ShouldBeNull();
        limiter.Count.ShouldBe(1);
    }
}
