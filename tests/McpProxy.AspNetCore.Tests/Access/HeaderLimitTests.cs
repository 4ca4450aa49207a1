using System.Text.Json.Nodes;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Access;

/// <summary>Who sends too many headers is told so, in words that a client can show.</summary>
public sealed class HeaderLimitTests
{
    [Theory]
    [InlineData(150, 1, "--max-header-count")]
    [InlineData(40, 1000, "--max-header-size")]
    public async Task Refusal_names_the_option(int count, int length, string option)
    {
        await using var server = await GuardedServer.StartAsync(null);
        var answer = await server.KnockAsync([.. Enumerable.Range(0, count).Select(i => ($"X-{i}", new string('x', length)))]);
        ((int)answer.StatusCode).ShouldBe(431);
        var error = JsonNode.Parse(await answer.TextAsync())!;
        error["jsonrpc"]!.GetValue<string>().ShouldBe("2.0");
        error["error"]!["message"]!.GetValue<string>().ShouldContain(option);
    }

    [Fact]
    public async Task Values_of_one_header_count_one_by_one()
    {
        await using var server = await GuardedServer.StartAsync(null);
        ((int)(await server.KnockAsync([.. Enumerable.Range(0, 90).Select(i => ("X-Same", $"{i}"))])).StatusCode).ShouldBe(200);
        using var connection = new Limits.RawConnection(server.Client.BaseAddress!);
        await connection.WriteAsync($"GET /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{string.Concat(Enumerable.Repeat("X-Same: 1\r\n", 120))}\r\n");
        (await connection.ReadToEndAsync()).ShouldContain("122 headers");
    }
}
