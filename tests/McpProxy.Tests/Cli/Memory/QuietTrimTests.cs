using McpProxy.Cli.Memory;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Cli.Memory;

public sealed class QuietTrimTests : IDisposable
{
    private readonly ManualTime _time = new();
    private readonly QuietTrim _quiet;
    private int _trims;
    private Action? _duringTrim;

    public QuietTrimTests() => _quiet = new(TimeSpan.FromMilliseconds(500), Trim, _time);

    public void Dispose() => _quiet.Dispose();

    [Fact]
    public void Trims_in_a_quiet_spell_and_once_more_when_pools_let_go()
    {
        _quiet.Happened();
        Pass(499);
        _trims.ShouldBe(0);
        Pass(101);
        _trims.ShouldBe(1);
        Pass(34_000);
        _trims.ShouldBe(1);
        Pass(1_500);
        _trims.ShouldBe(2);
        Pass(600_000);
        _trims.ShouldBe(2);
    }

    [Fact]
    public void A_message_before_the_second_look_puts_it_off()
    {
        _quiet.Happened();
        Pass(600);
        Pass(34_900);
        _quiet.Happened();
        Pass(300);
        _trims.ShouldBe(1);
        Pass(400);
        _trims.ShouldBe(2);
        Pass(34_000);
        _trims.ShouldBe(2);
        Pass(2_000);
        _trims.ShouldBe(3);
    }

    [Fact]
    public void Every_spell_has_its_own()
    {
        for (var spell = 1; spell <= 3; spell++)
        {
            _quiet.Happened();
            Pass(700);
            _trims.ShouldBe(spell);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(90)]
    [InlineData(499)]
    public void Never_trims_while_messages_flow(int everyMilliseconds)
    {
        for (var i = 0; i < 200; i++)
        {
            _quiet.Happened();
            Pass(everyMilliseconds);
        }

        _trims.ShouldBe(0);
        Pass(600);
        _trims.ShouldBe(1);
    }

    [Fact]
    public void A_program_that_has_nothing_to_do_is_not_woken()
    {
        Pass(60_000);
        _time.Firings.ShouldBe(0);
        _quiet.Happened();
        Pass(40_000);
        var before = _time.Firings;
        Pass(600_000);
        _time.Firings.ShouldBe(before);
        _trims.ShouldBe(2);
    }

    [Fact]
    public void A_message_during_the_trim_begins_a_new_spell()
    {
        _duringTrim = () =>
        {
            _duringTrim = null;
            _quiet.Happened();
        };
        _quiet.Happened();
        Pass(600);
        _trims.ShouldBe(1);
        Pass(600);
        _trims.ShouldBe(2);
    }

    [Fact]
    public void Never_trims_when_the_program_ends()
    {
        _quiet.Happened();
        _quiet.Dispose();
        Pass(60_000);
        _trims.ShouldBe(0);
    }

    private void Trim()
    {
        _trims++;
        _duringTrim?.Invoke();
    }

    private void Pass(int milliseconds) => _time.Advance(TimeSpan.FromMilliseconds(milliseconds));
}
