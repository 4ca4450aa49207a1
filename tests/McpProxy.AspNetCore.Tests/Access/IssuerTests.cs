using System.Security.Cryptography;
using McpProxy.AspNetCore.Access;
using McpProxy.AspNetCore.Access.Tokens;
using McpProxy.Tests;
using Microsoft.AspNetCore.Http;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Access;

/// <summary>How an issuer's keys are found, kept and renewed.</summary>
public sealed class IssuerTests
{
    private const string OAuth = "/.well-known/oauth-authorization-server{0}";

    private readonly ManualTime _time = new();

    public IssuerTests() => _time.Advance(TimeSpan.FromDays(20_000));

    [Theory]
    [InlineData("", OAuth)]
    [InlineData("", "/.well-known/openid-configuration")]
    [InlineData("/tenant", OAuth)]
    [InlineData("/tenant", "/.well-known/openid-configuration{0}")]
    [InlineData("/tenant", "{0}/.well-known/openid-configuration")]
    public async Task The_metadata_is_found_wherever_the_specifications_put_it(string path, string wellKnown)
    {
        await using var issuer = await Issuer.StartAsync(_time, path, wellKnown);
        await using var server = await StartAsync(issuer);

        ((int)(await server.KnockAsync(issuer.Token())).StatusCode).ShouldBe(200);
    }

    [Fact]
    public async Task Keys_are_fetched_once_for_all_who_come_at_the_same_time()
    {
        await using var issuer = await Issuer.StartAsync(_time);
        await using var server = await StartAsync(issuer);
        var ready = new TaskCompletionSource();
        issuer.Ready = ready.Task;
        var knocks = Enumerable.Range(0, 8).Select(i => server.KnockAsync(issuer.Token(claims: claims => claims["sub"] = $"user-{i}"))).ToList();

        ready.SetResult();

        (await Task.WhenAll(knocks)).ShouldAllBe(answer => (int)answer.StatusCode == 200);
        issuer.KeyRequests.ShouldBe(1);
    }

    [Fact]
    public async Task A_new_key_is_found_when_its_first_token_comes()
    {
        await using var issuer = await Issuer.StartAsync(_time);
        await using var server = await StartAsync(issuer);
        await server.KnockAsync(issuer.Token());
        _time.Advance(IssuerKeys.Pause);
        issuer.Keys.Insert(0, new("rsa-2", RSA.Create(2048)));

        ((int)(await server.KnockAsync(issuer.Token(key: issuer.Keys[0]))).StatusCode).ShouldBe(200);
        issuer.KeyRequests.ShouldBe(2);
    }

    [Fact]
    public async Task A_key_that_is_gone_opens_nothing_more_not_even_for_tokens_that_were_seen()
    {
        await using var issuer = await Issuer.StartAsync(_time);
        await using var server = await StartAsync(issuer);
        var token = issuer.Token();
        ((int)(await server.KnockAsync(token)).StatusCode).ShouldBe(200);
        _time.Advance(IssuerKeys.Pause);
        var old = issuer.Keys[0];
        issuer.Keys[0] = new("rsa-2", RSA.Create(2048));
        ((int)(await server.KnockAsync(issuer.Token(key: issuer.Keys[0]))).StatusCode).ShouldBe(200);

        ((int)(await server.KnockAsync(token)).StatusCode).ShouldBe(401);
        ((int)(await server.KnockAsync(issuer.Token(key: old))).StatusCode).ShouldBe(401);
    }

    [Fact]
    public async Task Garbage_does_not_make_us_ask_the_issuer_again_and_again()
    {
        await using var issuer = await Issuer.StartAsync(_time);
        await using var server = await StartAsync(issuer);
        await server.KnockAsync(issuer.Token());

        for (var i = 0; i < 20; i++)
        {
            ((int)(await server.KnockAsync(issuer.Token(key: new($"rsa-{i}", issuer.Keys[0].Key)))).StatusCode).ShouldBe(401);
        }

        issuer.KeyRequests.ShouldBe(1, "they came right after the keys");
        _time.Advance(IssuerKeys.Pause);
        for (var i = 0; i < 20; i++)
        {
            await server.KnockAsync(issuer.Token(key: new($"rsa-{i}", issuer.Keys[0].Key)));
        }

        issuer.KeyRequests.ShouldBe(2);
    }

    [Fact]
    public async Task Keys_are_renewed_while_the_old_ones_serve()
    {
        await using var issuer = await Issuer.StartAsync(_time);
        await using var server = await StartAsync(issuer);
        await server.KnockAsync(issuer.Token());
        _time.Advance(IssuerKeys.RefreshAge);
        var ready = new TaskCompletionSource();
        issuer.Ready = ready.Task;

        // Nobody answers for the keys yet, and still they come in.
        ((int)(await server.KnockAsync(issuer.Token())).StatusCode).ShouldBe(200);
        ready.SetResult();

        await UntilAsync(() => issuer.KeyRequests == 2);
    }

    [Fact]
    public async Task A_dead_issuer_keeps_its_keys()
    {
        await using var issuer = await Issuer.StartAsync(_time);
        await using var server = await StartAsync(issuer);
        await server.KnockAsync(issuer.Token());
        issuer.Failure = Broken;
        _time.Advance(IssuerKeys.StaleAge);

        ((int)(await server.KnockAsync(issuer.Token())).StatusCode).ShouldBe(200);
        server.Log.Warnings.ShouldContain(line => line.Contains("cannot be fetched"));

        // Whether a key is new or made up, nobody can say now.
        var answer = await server.KnockAsync(issuer.Token(key: new("rsa-2", issuer.Keys[0].Key)));
        ((int)answer.StatusCode).ShouldBe(503);
        issuer.Failure = null;
        issuer.Keys.Insert(0, new("rsa-2", issuer.Keys[0].Key));
        _time.Advance(answer.Headers.RetryAfter!.Delta!.Value);
        ((int)(await server.KnockAsync(issuer.Token(key: issuer.Keys[0]))).StatusCode).ShouldBe(200);
    }

    [Fact]
    public async Task An_issuer_that_never_answered_is_our_trouble_and_not_the_clients()
    {
        await using var issuer = await Issuer.StartAsync(_time);
        issuer.Failure = Broken;
        await using var server = await StartAsync(issuer);

        var answer = await server.KnockAsync(issuer.Token());

        ((int)answer.StatusCode).ShouldBe(503);
        answer.Headers.RetryAfter!.Delta.ShouldBe(IssuerKeys.Pause);
        answer.Headers.WwwAuthenticate.ShouldBeEmpty();
        (await answer.TextAsync()).ShouldContain("\"error\"");
        ((int)(await server.KnockAsync("no-jwt")).StatusCode).ShouldBe(401, "that needs no key to see");
        issuer.Failure = null;
        ((int)(await server.KnockAsync(issuer.Token())).StatusCode).ShouldBe(503, "it is too early to ask again");
        _time.Advance(IssuerKeys.Pause);
        ((int)(await server.KnockAsync(issuer.Token())).StatusCode).ShouldBe(200);
    }

    [Fact]
    public async Task Metadata_of_another_issuer_is_not_used()
    {
        await using var issuer = await Issuer.StartAsync(_time);
        issuer.EditMetadata = metadata => metadata["issuer"] = $"{issuer.Url}/";
        await using var server = await StartAsync(issuer);

        ((int)(await server.KnockAsync(issuer.Token())).StatusCode).ShouldBe(503);
        issuer.KeyRequests.ShouldBe(0);
        server.Log.Warnings.ShouldContain(line => line.Contains("another issuer"));
    }

    [Theory]
    [InlineData("http://keys.example/keys", "plain http")]
    [InlineData(null, "jwks_uri")]
    public async Task Keys_come_from_where_nobody_can_change_them(string? uri, string reason)
    {
        await using var issuer = await Issuer.StartAsync(_time);
        issuer.EditMetadata = metadata => metadata["jwks_uri"] = uri;
        await using var server = await StartAsync(issuer);

        ((int)(await server.KnockAsync(issuer.Token())).StatusCode).ShouldBe(503);
        server.Log.Warnings.ShouldContain(line => line.Contains(reason));
    }

    [Fact]
    public async Task A_key_set_may_have_what_nobody_understands()
    {
        await using var issuer = await Issuer.StartAsync(_time);
        issuer.Failure = context => context.Request.Path != "/keys"
            ? context.Response.WriteAsync($$"""{"issuer":"{{issuer.Url}}","jwks_uri":"{{issuer.Url}}/keys"}""")
            : context.Response.WriteAsync($$"""{"keys":[5,{},{"kty":"oct","k":"AAAA","kid":"rsa"},{"kty":"OKP","crv":"Ed25519","x":"AAAA"},{"kty":"RSA"},{"kty":5},{{issuer.Keys[0].Public().ToJsonString()}}]}""");
        await using var server = await StartAsync(issuer);

        ((int)(await server.KnockAsync(issuer.Token())).StatusCode).ShouldBe(200);
    }

    private static Task Broken(HttpContext context)
    {
        context.Response.StatusCode = 500;
        return Task.CompletedTask;
    }

    private static async Task UntilAsync(Func<bool> isSo)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!isSo())
        {
            timeout.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }

    private Task<GuardedServer> StartAsync(Issuer issuer) =>
        GuardedServer.StartAsync(new InboundAuthenticationOptions { Jwt = new() { Issuers = [issuer.Url], Audiences = [Issuer.Audience] } }, time: _time);
}
