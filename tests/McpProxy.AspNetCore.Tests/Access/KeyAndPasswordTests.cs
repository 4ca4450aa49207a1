using System.Text;
using McpProxy.AspNetCore.Access;
using McpProxy.Tests;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Access;

/// <summary>Clients that come with a key, or with a name and a password.</summary>
public sealed class KeyAndPasswordTests
{
    private const string Key = "a=key/with+everything,that:fits";

    private static readonly InboundAuthenticationOptions s_keys = new() { ApiKeys = [ApiKey.Of(Key), ApiKey.Of("another")] };
    private static readonly InboundAuthenticationOptions s_users = new() { BasicUsers = [BasicUser.Of("ann", "päss:word"), BasicUser.Of("bob", "secret")] };

    [Theory]
    [InlineData("Authorization", "Bearer " + Key)]
    [InlineData("authorization", "bearer  " + Key)]
    [InlineData("X-API-Key", Key)]
    [InlineData("x-api-key", "another")]
    public async Task A_key_lets_in(string header, string value)
    {
        await using var server = await GuardedServer.StartAsync(s_keys);

        ((int)(await server.KnockAsync((header, value))).StatusCode).ShouldBe(200);
    }

    [Theory]
    [InlineData("Authorization", "Bearer " + Key + "x")]
    [InlineData("Authorization", "Bearer another,a=key")]
    [InlineData("Authorization", "Bearer")]
    [InlineData("Authorization", "Bearer ")]
    [InlineData("X-API-Key", "")]
    [InlineData("X-API-Key", "Another")]
    public async Task Another_key_does_not(string header, string value)
    {
        await using var server = await GuardedServer.StartAsync(s_keys);

        var answer = await server.KnockAsync((header, value));

        ((int)answer.StatusCode).ShouldBe(401);
        answer.Headers.GetValues("WWW-Authenticate").ShouldBe(["Bearer realm=\"mcp-proxy\", error=\"invalid_token\", error_description=\"no such key\""]);
        (await answer.TextAsync()).ShouldBe("""{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Unauthorized: no such key"}}""");
        server.LastPrincipal.ShouldBeNull();
    }

    [Fact]
    public async Task Without_a_key_nothing_is_said_to_be_wrong()
    {
        await using var server = await GuardedServer.StartAsync(s_keys);

        foreach (var answer in new[] { await server.KnockAsync(), await server.KnockAsync(("Authorization", "Basic YTpi")), await server.Client.PostAsync($"/mcp?access_token={Key}&api_key={Key}", Http.Initialize) })
        {
            ((int)answer.StatusCode).ShouldBe(401);
            answer.Headers.GetValues("WWW-Authenticate").ShouldBe(["Bearer realm=\"mcp-proxy\""]);
        }

        server.Log.Warnings.ShouldBeEmpty("that is how a client that has to sign in begins");
    }

    [Theory]
    [InlineData("GET", "/mcp")]
    [InlineData("DELETE", "/mcp")]
    [InlineData("PUT", "/mcp")]
    [InlineData("POST", "/mcp/")]
    [InlineData("GET", "/sse")]
    [InlineData("POST", "/messages?sessionId=x")]
    public async Task Every_path_and_method_is_behind_the_gate(string method, string path)
    {
        await using var server = await GuardedServer.StartAsync(s_keys);

        using var request = new HttpRequestMessage(new(method), path);

        ((int)(await server.Client.SendAsync(request, TestContext.Current.CancellationToken)).StatusCode).ShouldBe(401);
    }

    [Fact]
    public async Task Two_credentials_are_one_too_many()
    {
        await using var server = await GuardedServer.StartAsync(s_keys);

        ((int)(await server.KnockAsync(("Authorization", $"Bearer {Key}"), ("Authorization", "Bearer x"))).StatusCode).ShouldBe(400);
        ((int)(await server.KnockAsync(("Authorization", $"Bearer {Key}"), ("X-API-Key", "another"))).StatusCode).ShouldBe(400);
        ((int)(await server.KnockAsync(("Authorization", "Basic YTpi"), ("X-API-Key", Key))).StatusCode).ShouldBe(400);
        ((int)(await server.KnockAsync(("X-API-Key", Key), ("X-API-Key", "another"))).StatusCode).ShouldBe(400);
        ((int)(await server.KnockAsync(("Authorization", $"Bearer {Key}"), ("X-API-Key", Key))).StatusCode).ShouldBe(200, "twice the same is one");
    }

    [Fact]
    public async Task Each_key_is_a_client_of_its_own_and_stays_it()
    {
        await using var server = await GuardedServer.StartAsync(s_keys);
        await server.KnockAsync(("X-API-Key", Key));
        var first = server.LastPrincipal;
        await server.KnockAsync(("X-API-Key", "another"));
        var second = server.LastPrincipal;
        await using var later = await GuardedServer.StartAsync(new() { ApiKeys = [ApiKey.Of(Key)] });
        await later.KnockAsync(("Authorization", $"Bearer {Key}"));

        first.ShouldNotBeNull();
        first.ShouldNotBe(second);
        later.LastPrincipal.ShouldBe(first);
        first.ShouldNotContain(Key);
    }

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    [InlineData("a b")]
    [InlineData("a\nb")]
    [InlineData("schlüssel")]
    public void A_key_that_no_header_can_carry_is_none(string key) =>
        Should.Throw<ArgumentException>(() => ApiKey.Of(key)).Message.ShouldNotContain("schlüssel");

    [Theory]
    [InlineData("ann", "päss:word", 200)]
    [InlineData("bob", "secret", 200)]
    [InlineData("bob", "päss:word", 401)]
    [InlineData("ann", "päss:wor", 401)]
    [InlineData("ann", "", 401)]
    public async Task A_password_lets_its_user_in(string name, string password, int status)
    {
        await using var server = await GuardedServer.StartAsync(s_users);

        var answer = await server.KnockAsync(("Authorization", $"Basic {Convert.ToBase64String(Encoding.UTF8.GetBytes($"{name}:{password}"))}"));

        ((int)answer.StatusCode).ShouldBe(status);
        server.LastPrincipal.ShouldBe(status == 200 ? $"Basic\n\n{name}" : null);
        if (status == 401)
        {
            answer.Headers.GetValues("WWW-Authenticate").ShouldBe(["Basic realm=\"mcp-proxy\", charset=\"UTF-8\""]);
        }
    }

    [Theory]
    [InlineData("Basic")]
    [InlineData("Basic !!!")]
    [InlineData("Basic YW5u")]
    public async Task What_is_no_password_is_refused(string header)
    {
        await using var server = await GuardedServer.StartAsync(s_users);

        ((int)(await server.KnockAsync(("Authorization", header))).StatusCode).ShouldBe(401);
    }

    [Fact]
    public async Task Any_one_of_several_ways_is_enough()
    {
        await using var server = await GuardedServer.StartAsync(new() { ApiKeys = s_keys.ApiKeys, BasicUsers = s_users.BasicUsers });

        ((int)(await server.KnockAsync(("X-API-Key", Key))).StatusCode).ShouldBe(200);
        ((int)(await server.KnockAsync(("Authorization", "Basic Ym9iOnNlY3JldA=="))).StatusCode).ShouldBe(200);
        (await server.KnockAsync()).Headers.GetValues("WWW-Authenticate").ShouldBe(["Bearer realm=\"mcp-proxy\"", "Basic realm=\"mcp-proxy\", charset=\"UTF-8\""]);
    }

    [Fact]
    public async Task Failed_attempts_are_logged_without_what_was_tried_and_not_without_end()
    {
        var time = new ManualTime();
        await using var server = await GuardedServer.StartAsync(s_keys, time: time);

        for (var i = 0; i < 25; i++)
        {
            await server.KnockAsync(("X-API-Key", "the-guess"));
        }

        server.Log.Warnings.ShouldBe(Enumerable.Repeat("Turned 127.0.0.1 away (API key): no such key", 10));
        time.Advance(TimeSpan.FromSeconds(11));
        await server.KnockAsync(("Authorization", "Bearer the-guess"));
        server.Log.Warnings.Skip(10).ShouldBe(["15 more attempts failed in the meantime", "Turned 127.0.0.1 away (API key): no such key"]);
        server.Log.All.ShouldAllBe(line => !line.Contains("the-guess"));
    }
}
