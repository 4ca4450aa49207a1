using McpProxy.AspNetCore.Access;
using McpProxy.AspNetCore.Access.Tokens;
using McpProxy.Tests;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Access;

/// <summary>What is remembered of tokens that were found good.</summary>
public sealed class CheckedTokensTests : IDisposable
{
    private readonly ManualTime _time = new();
    private readonly HttpMessageInvoker _http = new(new SocketsHttpHandler());
    private readonly IssuerKeys _issuer;

    public CheckedTokensTests() => _issuer = new("http://127.0.0.1:9", new(_http, new("http://127.0.0.1:9"), allowHttp: false, _time), _time, NullLogger.Instance);

    public void Dispose()
    {
        _issuer.Dispose();
        _http.Dispose();
    }

    [Fact]
    public void No_more_are_kept_than_fit()
    {
        var tokens = new CheckedTokens(_time);
        for (var i = 0; i <= CheckedTokens.MaxCount; i++)
        {
            Add(tokens, $"token-{i}");
            Add(tokens, $"token-{i}");
        }

        tokens.Find(CheckedTokens.KeyOf("token-0")).ShouldBeNull();
        tokens.Find(CheckedTokens.KeyOf("token-1")).ShouldNotBeNull();
        tokens.Find(CheckedTokens.KeyOf($"token-{CheckedTokens.MaxCount}")).ShouldNotBeNull();
    }

    [Fact]
    public void None_is_kept_longer_than_it_may_be()
    {
        var tokens = new CheckedTokens(_time);
        Add(tokens, "token");
        _time.Advance(TimeSpan.FromSeconds(59));
        tokens.Find(CheckedTokens.KeyOf("token")).ShouldNotBeNull();
        _time.Advance(TimeSpan.FromSeconds(1));
        tokens.Find(CheckedTokens.KeyOf("token")).ShouldBeNull();
    }

    private void Add(CheckedTokens tokens, string token) =>
        tokens.Add(CheckedTokens.KeyOf(token), new(AccessDecision.Refused(""), _issuer.Known!, _issuer, _time.GetUtcNow().AddSeconds(60)));
}
