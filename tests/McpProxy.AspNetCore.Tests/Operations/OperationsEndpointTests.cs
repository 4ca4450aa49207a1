using System.Net;
using McpProxy.AspNetCore.Operations;
using McpProxy.Tests;
using Microsoft.AspNetCore.Http;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Operations;

/// <summary>Health, readiness and metrics, over real sockets.</summary>
public sealed class OperationsEndpointTests
{
    private readonly FakeUpstream _upstream = new(() => new FakePeer());
    private string? _problem;

    [Fact]
    public async Task Health_is_good_as_long_as_there_is_an_answer()
    {
        _problem = "the server is down";
        await using var server = await StartAsync();
        using var response = await server.Client.GetAsync("/healthz", TestContext.Current.CancellationToken);
        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        (await response.TextAsync()).ShouldBe("ok\n");
    }

    [Fact]
    public async Task Readiness_follows_the_server_and_says_why_not()
    {
        await using var server = await StartAsync();
        (await server.Client.GetStringAsync("/readyz", TestContext.Current.CancellationToken)).ShouldBe("{\"status\":\"ready\"}\n");
        _problem = "\"npx\" exited";
        using var response = await server.Client.GetAsync("/readyz", TestContext.Current.CancellationToken);
        response.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        (await response.TextAsync()).ShouldBe("{\"status\":\"unavailable\",\"reason\":\"\\u0022npx\\u0022 exited\"}\n");
    }

    [Fact]
    public async Task Who_does_not_say_in_time_is_not_ready()
    {
        var time = new ManualTime();
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var operations = new OperationsEndpoint(
            new()
            {
                Readiness = async cancellation =>
                {
                    asked.SetResult();
                    await Task.Delay(Timeout.Infinite, cancellation);
                    return null;
                },
            },
            new(),
            time);
        await using var server = await TestServer.ScriptAsync(async context => await operations.ReadyAsync(context));
        var answering = server.Client.GetAsync("/readyz", TestContext.Current.CancellationToken);
        await asked.Task;
        time.Advance(TimeSpan.FromSeconds(5));
        (await answering).StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        operations.Dispose();
    }

    [Theory]
    [InlineData("/healthz")]
    [InlineData("/readyz")]
    [InlineData("/metrics")]
    public async Task Head_is_answered_without_a_body_and_other_methods_are_not_allowed(string path)
    {
        await using var server = await StartAsync(new Keyhole());
        using var head = await server.Client.SendAsync(Request(HttpMethod.Head, path, ("X-Key", "1")), TestContext.Current.CancellationToken);
        head.StatusCode.ShouldBe(HttpStatusCode.OK);
        head.Content.Headers.ContentLength.ShouldNotBe(0);
        (await head.TextAsync()).ShouldBeEmpty();
        using var post = await server.Client.SendAsync(Request(HttpMethod.Post, path), TestContext.Current.CancellationToken);
        post.StatusCode.ShouldBe(HttpStatusCode.MethodNotAllowed);
        post.Content.Headers.Allow.ShouldContain("GET");
    }

    [Theory]
    [InlineData("/healthz")]
    [InlineData("/readyz")]
    [InlineData("/metrics")]
    public async Task A_foreign_host_gets_nothing(string path)
    {
        await using var server = await StartAsync();
        using var response = await server.Client.SendAsync(Request(HttpMethod.Get, path, ("Host", "evil.example")), TestContext.Current.CancellationToken);
        response.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
    }

    [Fact]
    public async Task Metrics_need_what_clients_need_and_the_others_do_not()
    {
        await using var server = await StartAsync(new Keyhole());
        (await server.Client.GetAsync("/metrics", TestContext.Current.CancellationToken)).StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        (await server.Client.GetAsync("/healthz", TestContext.Current.CancellationToken)).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await server.Client.GetAsync("/readyz", TestContext.Current.CancellationToken)).StatusCode.ShouldBe(HttpStatusCode.OK);
        using var response = await server.Client.SendAsync(Request(HttpMethod.Get, "/metrics", ("X-Key", "1")), TestContext.Current.CancellationToken);
        response.Content.Headers.ContentType!.ToString().ShouldBe("text/plain; version=0.0.4; charset=utf-8");
        (await response.TextAsync()).ShouldContain("\nprocess_resident_memory_bytes ");
    }

    private static HttpRequestMessage Request(HttpMethod method, string path, params (string Name, string Value)[] headers)
    {
        var request = new HttpRequestMessage(method, path);
        foreach (var (name, value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        return request;
    }

    private Task<TestServer> StartAsync(params IRequestGate[] gates) =>
        TestServer.StartAsync(_upstream, new() { Gates = gates }, operations: new() { Readiness = _ => ValueTask.FromResult(_problem) });

    private sealed class Keyhole : IRequestGate
    {
        public ValueTask<bool> AdmitAsync(HttpContext context)
        {
            var mayEnter = context.Request.Headers["X-Key"] == "1";
            context.Response.StatusCode = mayEnter ? 200 : 401;
            return ValueTask.FromResult(mayEnter);
        }
    }
}
