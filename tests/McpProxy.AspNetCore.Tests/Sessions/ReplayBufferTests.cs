using McpProxy.AspNetCore.Sessions;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Sessions;

public sealed class ReplayBufferTests
{
    private readonly ReplayLimit _limit = new(maxBytes: 100);
    private readonly ReplayBuffer _buffer;

    public ReplayBufferTests() => _buffer = new(maxEvents: 3, maxBytes: 10, _limit);

    [Fact]
    public void A_large_event_is_kept_until_it_was_sent()
    {
        _buffer.IsLarge(19).ShouldBeTrue();
        _buffer.Keep(1, _buffer.Next(), "more than ten bytes"u8);
        _buffer.After(1, 0).Count.ShouldBe(1);
        _buffer.Sent(1);
        _buffer.After(1, 0).ShouldBeEmpty();
    }

    [Fact]
    public void A_small_event_is_kept_after_it_was_sent()
    {
        _buffer.IsLarge(5).ShouldBeFalse();
        _buffer.Keep(1, _buffer.Next(), "small"u8);
        _buffer.Sent(1);
        _buffer.After(1, 0).Count.ShouldBe(1);
    }

    [Fact]
    public void The_oldest_go_when_there_are_too_many()
    {
        for (var i = 0; i < 5; i++)
        {
            _buffer.Keep(1, _buffer.Next(), "x"u8);
        }

        _buffer.After(1, 0).Select(entry => entry.Id.ToString()).ShouldBe(["1-3", "1-4", "1-5"]);
    }

    [Fact]
    public void Sessions_that_were_sent_nothing_for_the_longest_lose_theirs_when_all_have_too_much()
    {
        var sessions = Enumerable.Range(0, 4).Select(_ => new ReplayBuffer(maxEvents: 3, maxBytes: 10, _limit)).ToList();
        var large = new byte[30];
        for (var i = 0; i < 3; i++)
        {
            sessions[i].Keep(1, sessions[i].Next(), large);
        }

        // Within the limit; and the first is the youngest now.
        sessions[0].Keep(1, sessions[0].Next(), "x"u8);
        sessions.Select(session => session.Count).ShouldBe([1, 1, 1, 0]);

        sessions[3].Keep(1, sessions[3].Next(), new byte[60]);
        sessions.Select(session => session.Count).ShouldBe([1, 0, 1, 1]);

        // What alone is more than all may have is kept, and nothing else.
        sessions[2].Keep(1, sessions[2].Next(), new byte[200]);
        sessions.Select(session => session.Count).ShouldBe([0, 0, 1, 0]);
        sessions[1].Keep(1, sessions[1].Next(), large);
        sessions.Select(session => session.Count).ShouldBe([0, 1, 0, 0]);
    }

    [Fact]
    public void The_end_of_a_session_makes_room()
    {
        var other = new ReplayBuffer(maxEvents: 3, maxBytes: 10, _limit);
        other.Keep(1, other.Next(), new byte[80]);
        other.Close();
        other.Keep(1, other.Next(), new byte[80]);
        other.Count.ShouldBe(0);

        _buffer.Keep(1, _buffer.Next(), new byte[90]);
        _buffer.Count.ShouldBe(1);
        var third = new ReplayBuffer(maxEvents: 3, maxBytes: 10, _limit);
        third.Keep(1, third.Next(), new byte[10]);
        _buffer.Count.ShouldBe(1);
    }
}
