using McpProxy.AspNetCore.Sessions;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Sessions;

public sealed class ReplayBufferTests
{
    private readonly ReplayBuffer _buffer = new(maxEvents: 3, maxBytes: 10);

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
}
