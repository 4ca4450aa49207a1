using McpProxy.Auth.Grants;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Auth.Grants;

public sealed class TokenSetTests
{
    /// <summary>A minute before the end, or a quarter of the lifetime where that is less.</summary>
    [Theory]
    [InlineData(3600, 3539, false, false)]
    [InlineData(3600, 3540, true, false)]
    [InlineData(3600, 3599, true, false)]
    [InlineData(3600, 3600, true, true)]
    [InlineData(240, 179, false, false)]
    [InlineData(240, 180, true, false)]
    [InlineData(60, 44, false, false)]
    [InlineData(60, 45, true, false)]
    [InlineData(0, 0, true, true)]
    [InlineData(-100, 0, true, true)]
    [InlineData(null, 1_000_000_000, false, false)]
    public void Tokens_are_renewed_ahead_of_their_end(int? lifetime, int age, bool isDue, bool isOver)
    {
        var start = DateTimeOffset.UnixEpoch.AddDays(1);
        var tokens = new TokenSet("at") { ObtainedAt = start, ExpiresAt = lifetime is { } seconds ? start.AddSeconds(seconds) : null };
        tokens.IsDue(start.AddSeconds(age)).ShouldBe(isDue);
        tokens.IsOver(start.AddSeconds(age)).ShouldBe(isOver);
    }

    [Fact]
    public void Tokens_are_not_shown() => new TokenSet("secret") { RefreshToken = "secret" }.ToString().ShouldNotContain("secret");
}
