using McpProxy.Relay.Restarting;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Relay.Restarting;

public sealed class RestartBackoffTests
{
    private readonly ManualTime _time = new();

    [Fact]
    public void The_wait_doubles_up_to_half_a_minute()
    {
        var backoff = new RestartBackoff(_time);
        double[] expected = [0, 0.5, 1, 2, 4, 8, 16, 30, 30, 30];
        foreach (var seconds in expected)
        {
            backoff.Started();
            backoff.Died();
            backoff.Remaining.TotalSeconds.ShouldBe(seconds);
        }
    }

    [Fact]
    public void What_has_passed_since_the_death_need_not_be_waited_again()
    {
        var backoff = new RestartBackoff(_time);
        backoff.Died();
        backoff.Died();
        backoff.Died();
        _time.Advance(TimeSpan.FromSeconds(0.4));
        backoff.Remaining.TotalSeconds.ShouldBe(0.6);
        _time.Advance(TimeSpan.FromSeconds(5));
        backoff.Remaining.ShouldBe(TimeSpan.Zero);
    }

    [Fact]
    public void A_server_that_has_answered_a_client_is_started_again_at_once()
    {
        var backoff = new RestartBackoff(_time);
        backoff.Died();
        backoff.Died();
        backoff.Died();
        backoff.Started();
        backoff.Worked();
        backoff.Died();
        backoff.Remaining.ShouldBe(TimeSpan.Zero);
        backoff.Started();
        backoff.Died();
        backoff.Remaining.TotalSeconds.ShouldBe(0.5);
    }

    [Fact]
    public void A_server_that_ran_for_half_a_minute_is_started_again_at_once()
    {
        var backoff = new RestartBackoff(_time);
        backoff.Died();
        backoff.Died();
        backoff.Died();
        backoff.Started();
        _time.Advance(TimeSpan.FromSeconds(30));
        backoff.Died();
        backoff.Remaining.ShouldBe(TimeSpan.Zero);
        backoff.Started();
        _time.Advance(TimeSpan.FromSeconds(29));
        backoff.Died();
        backoff.Remaining.TotalSeconds.ShouldBe(0.5);
    }
}
