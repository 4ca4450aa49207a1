using System.Text;
using McpProxy.AspNetCore.Connections.Usual;
using Microsoft.AspNetCore.Http;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Connections.Usual;

public sealed class UsualHeadTests
{
    private static readonly Dictionary<string, RequestDelegate> s_targets = new() { ["/mcp"] = _ => Task.CompletedTask, ["/messages"] = _ => Task.CompletedTask };

    private static readonly string[] s_methods = ["POST", "GET", "DELETE", "PUT"];

    private static readonly string[] s_lines =
    [
        "Host: localhost", "Host: localhost:8080", "Host: [::1]:80", "Content-Length: 2", "Content-Length: 17", "Content-Length: 123456789", "content-length: 2", "Accept: */*",
        "Mcp-Session-Id: 0123456789abcdef", "Mcp-Session-Id: fedcba9876543210", "Connection: keep-alive", "Connection: close", "X-A: 1", "X-A: 2", "X-AB: 1", "X-A:1", "X: ", "Expect: 100-continue", "bad line", ": bad",
    ];

    [Fact]
    public void What_is_kept_of_the_last_head_makes_no_difference()
    {
        var random = new Random(42);
        var kept = new UsualHead(s_targets);
        string[] lines = ["Host: localhost", "Content-Length: 2"];
        var usual = 0;
        for (var round = 0; round < 200_000; round++)
        {
            lines = Changed(lines, random);
            var target = random.Next(20) == 0 ? "/messages?sessionId=1" : random.Next(50) == 0 ? "/other" : "/mcp";
            var method = random.Next(20) == 0 ? s_methods[random.Next(s_methods.Length)] : "POST";
            var bytes = Encoding.ASCII.GetBytes($"{method} {target} HTTP/1.1\r\n{string.Concat(lines.Select(line => line + "\r\n"))}\r\n");
            var fresh = new UsualHead(s_targets);

            var isUsual = kept.TryRead(bytes);

            isUsual.ShouldBe(fresh.TryRead(bytes));
            if (isUsual)
            {
                usual++;
                (kept.Method, kept.Path, kept.Query, kept.BodyLength).ShouldBe((fresh.Method, fresh.Path, fresh.Query, fresh.BodyLength));
                kept.Headers.ShouldBe(fresh.Headers);
            }
            else
            {
                lines = ["Host: localhost", "Content-Length: 2"];
            }
        }

        usual.ShouldBeGreaterThan(50_000);
    }

    [Theory]
    [InlineData("")]
    [InlineData("Host: localhost\r\n")]
    [InlineData("Content-Length: 2\r\n")]
    [InlineData("Host: localhost\r\nContent-Length: 02\r\n")]
    [InlineData("Host: localhost\r\nContent-Length: \r\n")]
    [InlineData("Host: localhost\r\nContent-Length: 1234567890\r\n")]
    [InlineData("Host: localhost\r\nContent-Length: 2, 2\r\n")]
    [InlineData("Host: \r\nContent-Length: 2\r\n")]
    [InlineData("Host: localhost:\r\nContent-Length: 2\r\n")]
    [InlineData("Host: localhost:80:80\r\nContent-Length: 2\r\n")]
    [InlineData("Host: local host\r\nContent-Length: 2\r\n")]
    [InlineData("Host: [::1\r\nContent-Length: 2\r\n")]
    [InlineData("Host: [1.2.3.4]\r\nContent-Length: 2\r\n")]
    [InlineData("Host: localhost\r\nContent-Length: 2\r\nTE: trailers\r\n")]
    [InlineData("Host: localhost\r\nContent-Length: 2\r\nUpgrade: h2c\r\n")]
    [InlineData("Host: localhost\r\nContent-Length: 2\r\nX: a\u007fb\r\n")]
    [InlineData("Host: localhost\r\nContent-Length: 2\r\nhost: localhost\r\n")]
    public void Nothing_is_taken_that_somebody_else_might_read_differently(string headers) =>
        new UsualHead(s_targets).TryRead(Encoding.ASCII.GetBytes($"POST /mcp HTTP/1.1\r\n{headers}\r\n")).ShouldBeFalse();

    [Fact]
    public void A_request_without_a_body_has_no_length()
    {
        var head = new UsualHead(s_targets);
        foreach (var (request, isUsual, length) in ((string, bool, int)[])
        [
            ("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n", true, 2),
            ("GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n", true, 0),
            ("DELETE /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n", true, 0),
            ("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\n", true, 7),
            ("DELETE /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\n", false, 0),
            ("GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n", true, 0),
            ("POST /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n", false, 0),
        ])
        {
            head.TryRead(Encoding.ASCII.GetBytes(request)).ShouldBe(isUsual, request);
            if (isUsual)
            {
                head.BodyLength.ShouldBe(length, request);
            }
        }
    }

    [Theory]
    [InlineData("", true)]
    [InlineData("P", true)]
    [InlineData("POST", true)]
    [InlineData("POST ", true)]
    [InlineData("GET /m", true)]
    [InlineData("GET /mcp HTTP/1.1\r", true)]
    [InlineData("GET /mcp HTTP/1.1\r\n", true)]
    [InlineData("POST /messages?sessionId=1 HTTP/1.1\r\nHost: a\r\nX", true)]
    [InlineData("GET /other HTTP/1.1\r\n", false)]
    [InlineData("GET /mcp HTTP/1.0\r\n", false)]
    [InlineData("GET /mcp HTTP/1.1\n", false)]
    [InlineData("GET / FOO\r\nHost", false)]
    [InlineData("GET /mcp HTTP/1.1\r\nHost: a\n", false)]
    [InlineData("DEL", true)]
    [InlineData("PU", false)]
    [InlineData("GETS", false)]
    [InlineData("get", false)]
    [InlineData("\r\n", false)]
    public void What_has_come_tells_whether_to_wait_for_the_rest(string begun, bool mayBecome) =>
        new UsualHead(s_targets).MayBecomeUsual(Encoding.ASCII.GetBytes(begun)).ShouldBe(mayBecome);

    [Fact]
    public void As_many_headers_are_read_as_a_client_may_have_and_no_more()
    {
        for (var count = 60; count < 70; count++)
        {
            var headers = string.Concat(Enumerable.Range(0, count - 2).Select(n => $"X-{n}: {n}\r\n"));
            new UsualHead(s_targets).TryRead(Encoding.ASCII.GetBytes($"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n{headers}\r\n")).ShouldBe(count <= 64);
        }
    }

    private static string[] Changed(string[] lines, Random random)
    {
        var changed = lines.ToList();
        for (var changes = random.Next(3); changes > 0; changes--)
        {
            var line = s_lines[random.Next(s_lines.Length)];
            switch (random.Next(4))
            {
                case 0 when changed.Count > 0:
                    changed.RemoveAt(random.Next(changed.Count));
                    break;
                case 1:
                    changed.Insert(random.Next(changed.Count + 1), line);
                    break;
                case 2 when changed.Count > 1:
                    var (a, b) = (random.Next(changed.Count), random.Next(changed.Count));
                    (changed[a], changed[b]) = (changed[b], changed[a]);
                    break;
                default:
                    var same = changed.FindIndex(other => other.Split(':')[0] == line.Split(':')[0]);
                    if (same >= 0)
                    {
                        changed[same] = line;
                    }

                    break;
            }
        }

        return [.. changed];
    }
}
