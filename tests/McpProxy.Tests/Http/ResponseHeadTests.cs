using System.Net;
using System.Text;
using McpProxy.Transports.Http.Plain;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Http;

/// <summary>What a response's head says of its body and its connection, and what it may not say.</summary>
public sealed class ResponseHeadTests
{
    [Theory]
    [InlineData("Content-Length: 5", nameof(BodyFraming.Length), true)]
    [InlineData("content-length:5\r\nConnection: close", nameof(BodyFraming.Length), false)]
    [InlineData("Content-Length: 5, 5", nameof(BodyFraming.Length), true)]
    [InlineData("Content-Length: 5\r\nContent-Length: 5", nameof(BodyFraming.Length), true)]
    [InlineData("Content-Length: 0", nameof(BodyFraming.None), true)]
    [InlineData("Transfer-Encoding: chunked", nameof(BodyFraming.Chunked), true)]
    [InlineData("Content-Length: 5\r\nTransfer-Encoding: chunked", nameof(BodyFraming.Chunked), false)]
    [InlineData("transfer-encoding:Chunked\r\nconnection: Keep-Alive, Close", nameof(BodyFraming.Chunked), false)]
    [InlineData("Content-Type: text/plain", nameof(BodyFraming.UntilClose), false)]
    [InlineData("Content-Type: text/plain\r\nConnection: keep-alive", nameof(BodyFraming.UntilClose), false)]
    public void The_body_ends_as_the_head_says(string headers, string framing, bool keepsAlive)
    {
        var (head, _) = Read($"HTTP/1.1 200 OK\r\n{headers}\r\n\r\n");
        head.Framing.ToString().ShouldBe(framing);
        head.KeepsAlive.ShouldBe(keepsAlive);
    }

    [Theory]
    [InlineData("HTTP/1.1 204 No Content\r\n\r\n", "POST")]
    [InlineData("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD")]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD")]
    public void Some_responses_have_no_body_whatever_they_say(string response, string method) => Read(response, method).Head.Framing.ShouldBe(BodyFraming.None);

    [Theory]
    [InlineData("", false)]
    [InlineData("Connection: keep-alive\r\n", true)]
    public void An_old_server_closes_unless_it_says_otherwise(string header, bool keepsAlive)
    {
        var (head, response) = Read($"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n{header}\r\n");
        head.KeepsAlive.ShouldBe(keepsAlive);
        response.Version.ShouldBe(HttpVersion.Version10);
    }

    [Theory]
    [InlineData("Content-Length: 5\r\nContent-Length: 6")]
    [InlineData("Content-Length: 5, 6")]
    [InlineData("Content-Length: -5")]
    [InlineData("Content-Length: +5")]
    [InlineData("Content-Length: 5 5")]
    [InlineData("Content-Length: 0x5")]
    [InlineData("Content-Length:")]
    [InlineData("Content-Length: 99999999999999999999")]
    [InlineData("Transfer-Encoding: gzip, chunked")]
    [InlineData("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")]
    [InlineData("Transfer-Encoding: identity")]
    [InlineData("X: a\r\n b")]
    [InlineData("X : a")]
    [InlineData(" X: a")]
    [InlineData(": a")]
    [InlineData("X")]
    [InlineData("X: a\rb")]
    [InlineData("X: a\0b")]
    [InlineData("X\u00e4: a")]
    public void What_can_be_understood_in_two_ways_is_an_error(string headers) =>
        Should.Throw<HttpRequestException>(() => Read($"HTTP/1.1 200 OK\r\n{headers}\r\n\r\n")).HttpRequestError.ShouldBe(HttpRequestError.InvalidResponse);

    [Theory]
    [InlineData("HTTP/1.1 20 OK\r\n\r\n")]
    [InlineData("HTTP/1.1 2000 OK\r\n\r\n")]
    [InlineData("HTTP/1.1  200 OK\r\n\r\n")]
    [InlineData("HTTP/1.1 099 OK\r\n\r\n")]
    [InlineData("HTTP/1.1 +20 OK\r\n\r\n")]
    [InlineData("HTTP/1.x 200 OK\r\n\r\n")]
    [InlineData("HTTP/1.1 200 O\0K\r\n\r\n")]
    [InlineData("HTTP/2.0 200 OK\r\n\r\n")]
    [InlineData("SSH-2.0-OpenSSH\r\n")]
    [InlineData("\u0015\u0003\u0001")]
    public void What_is_no_response_is_an_error(string bytes) =>
        Should.Throw<HttpRequestException>(() => Read(bytes)).HttpRequestError.ShouldBe(HttpRequestError.InvalidResponse);

    [Fact]
    public void Headers_go_where_they_belong()
    {
        var (_, response) = Read("HTTP/1.1 404 Nothing here\r\nMCP-SESSION-ID: a\r\nX-Two: 1\r\nX-Two: \t2 \r\ncontent-type: application/json\r\nExpires: 0\r\nX-Empty:\r\nContent-Length: 5\r\n\r\n");
        response.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        response.ReasonPhrase.ShouldBe("Nothing here");
        response.Headers.GetValues("Mcp-Session-Id").ShouldBe(["a"]);
        response.Headers.GetValues("x-two").ShouldBe(["1", "2"]);
        response.Headers.GetValues("X-Empty").ShouldBe([""]);
        response.Content.Headers.ContentType!.MediaType.ShouldBe("application/json");
        response.Content.Headers.ContentLength.ShouldBe(5);
        response.Content.Headers.GetValues("Expires").ShouldBe(["0"]);
    }

    [Theory]
    [InlineData("timeout=5, max=100", 4)]
    [InlineData("max=100,timeout=1", 0)]
    [InlineData("timeout=0", 0)]
    [InlineData("timeout=x", null)]
    [InlineData("5", null)]
    public void A_server_says_how_long_it_keeps_a_connection(string value, int? seconds) =>
        Read($"HTTP/1.1 200 OK\r\nKeep-Alive: {value}\r\nContent-Length: 5\r\n\r\n").Head.IdleLimit.ShouldBe(seconds is { } limit ? TimeSpan.FromSeconds(limit) : null);

    [Theory]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\n")]
    [InlineData("HTTP/1.1 200\nContent-Length: 5\n\n")]
    [InlineData("HTTP/1.1 200 \r\n\r\n")]
    public void Its_end_is_found_wherever_it_is_cut(string head)
    {
        var whole = Encoding.Latin1.GetBytes(head + "HTTP/1.1 body");
        for (var cut = 0; cut < head.Length; cut++)
        {
            ResponseHead.Find(whole.AsSpan(0, cut), 0).ShouldBe(0);
            ResponseHead.Find(whole, cut).ShouldBe(head.Length);
        }
    }

    [Fact]
    public void It_has_a_bound()
    {
        var head = Encoding.Latin1.GetBytes($"HTTP/1.1 200 OK\r\nX: {new string('x', ResponseHead.MaxLength)}");
        ResponseHead.Find(head.AsSpan(0, ResponseHead.MaxLength - 1), 0).ShouldBe(0);
        Should.Throw<HttpRequestException>(() => ResponseHead.Find(head, 0)).HttpRequestError.ShouldBe(HttpRequestError.ConfigurationLimitExceeded);
    }

    private static (ResponseHead Head, HttpResponseMessage Response) Read(string text, string method = "GET")
    {
        var bytes = Encoding.Latin1.GetBytes(text);
        var length = ResponseHead.Find(bytes, 0);
        using var request = new HttpRequestMessage(new(method), "http://localhost/");
        var response = new HttpResponseMessage { Content = new ResponseContent() };
        var head = ResponseHead.Read(bytes.AsSpan(0, length), isHead: request.Method == HttpMethod.Head);
        head.CopyTo(bytes.AsSpan(0, length), response);
        return (head, response);
    }
}
