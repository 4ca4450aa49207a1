using McpProxy.AspNetCore.Responses;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Responses;

public sealed class TurnTests
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task Who_comes_first_goes_first()
    {
        var turn = new Turn();
        turn.EnterAsync().IsCompleted.ShouldBeTrue("nobody has it");
        var second = turn.EnterAsync();
        var third = turn.EnterAsync();
        second.IsCompleted.ShouldBeFalse();

        turn.Leave();
        await second.WaitAsync(s_timeout);
        third.IsCompleted.ShouldBeFalse();
        turn.Leave();
        await third.WaitAsync(s_timeout);
        turn.Leave();
        turn.EnterAsync().IsCompleted.ShouldBeTrue("everybody has left");
    }

    [Fact]
    public async Task Nobody_goes_on_beside_another_and_nobody_is_forgotten()
    {
        const int Rounds = 20_000;
        var turn = new Turn();
        var inside = 0;
        var most = 0;
        var count = 0;

        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            for (var i = 0; i < Rounds; i++)
            {
                await turn.EnterAsync();
                most = Math.Max(most, Interlocked.Increment(ref inside));
                count++;
                Interlocked.Decrement(ref inside);
                turn.Leave();
            }
        }))).WaitAsync(s_timeout);

        most.ShouldBe(1);
        count.ShouldBe(4 * Rounds);
    }
}
