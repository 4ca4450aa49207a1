using System.Net;
using System.Text;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.CommandLine;
using McpProxy.EndToEnd.Tests.OAuth;
using McpProxy.EndToEnd.Tests.OAuth.Servers;
using McpProxy.EndToEnd.Tests.Programs;
using Microsoft.AspNetCore.WebUtilities;
using ModelContextProtocol.Authentication;
using ModelContextProtocol.Client;

namespace McpProxy.EndToEnd.Tests.Access;

/// <summary>The program as an OAuth resource server: clients sign in elsewhere, and it believes what was signed there.</summary>
public sealed class ResourceServerTests(ITestOutputHelper output) : OAuthTest(output)
{
    public override async ValueTask InitializeAsync()
    {
        await base.InitializeAsync();
        Authorization.Signer = new();
    }

    [Theory]
    [InlineData(Transport.StreamableHttp, Era.Legacy)]
    [InlineData(Transport.StreamableHttp, Era.Modern)]
    [InlineData(Transport.Sse, Era.Legacy)]
    public async Task The_official_client_signs_in_by_what_it_is_told(Transport transport, Era era)
    {
        var (proxy, origin) = await ServeAsync(era, "--auth-scope", "mcp:tools other");
        using var http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false });
        var signIns = 0;
        await using var client = await TestClient.ConnectAsync(
            new HttpClientTransport(new()
            {
                Endpoint = new Uri(origin, transport == Transport.Sse ? "/sse" : "/mcp"),
                TransportMode = transport == Transport.Sse ? HttpTransportMode.Sse : HttpTransportMode.StreamableHttp,
                OAuth = new()
                {
                    RedirectUri = new("http://localhost:1/callback"),
                    AuthorizationCallbackHandler = async (context, cancellationToken) =>
                    {
                        signIns++;
                        using var answer = await http.GetAsync(context.AuthorizationUri, cancellationToken);
                        var query = QueryHelpers.ParseQuery(answer.Headers.Location!.Query);
                        return new AuthorizationResult { Code = query["code"].ToString(), State = query["state"].ToString(), Iss = query["iss"].ToString() };
                    },
                },
            }),
            TestClient.VersionOf(era));

        (await client.TextAsync("echo", new { text = "hello" })).ShouldContain("hello");

        signIns.ShouldBe(1);
        var asked = Authorization.To(Endpoint.Authorization).ShouldHaveSingleItem().Query;
        asked["resource"].ShouldBe(new Uri(origin, transport == Transport.Sse ? "/sse" : "/mcp").AbsoluteUri);
        asked["scope"].ShouldBe("mcp:tools other");
        Authorization.To(Endpoint.Keys).Count.ShouldBe(1);
        foreach (var secret in Authorization.Secrets)
        {
            proxy.Errors.ToString().ShouldNotContain(secret);
        }
    }

    [Fact]
    public async Task This_program_signs_in_to_itself()
    {
        var (_, origin) = await ServeAsync(Era.Legacy);
        Browser.SignInAtOnce();
        var session = Start(Era.Legacy, new Uri(origin, "/mcp").AbsoluteUri, null);

        await session.IntroduceAsync();

        (await session.AskAsync("tools/call", new { name = "echo", arguments = new { text = "hello" } })).ToJsonString().ShouldContain("hello");
        ShouldHaveSignedInOnce();
        await session.EndAsync();
    }

    [Fact]
    public async Task A_token_for_another_server_or_with_less_scope_does_not_do()
    {
        var (proxy, origin) = await ServeAsync(Era.Legacy, "--auth-scope", "a");
        var resource = new Uri(origin, "/mcp").AbsoluteUri;

        (await PostAsync(origin, Sign("https://elsewhere.example/mcp", "a"))).ShouldBe(HttpStatusCode.Unauthorized);
        (await PostAsync(origin, Sign(resource, "b"))).ShouldBe(HttpStatusCode.Forbidden);
        (await PostAsync(origin, Sign(resource, "a") + "x")).ShouldBe(HttpStatusCode.Unauthorized);
        (await PostAsync(origin, new TokenSigner().Sign(new("c", "ann", ["a"], resource), Authorization.Issuer, 60))).ShouldBe(HttpStatusCode.Unauthorized);
        (await PostAsync(origin, Sign(resource, "b a"))).ShouldBe(HttpStatusCode.OK);

        await proxy.Errors.FirstAsync("the refusal", line => line.Contains("Turned 127.0.0.1 away (access token): it is meant for another audience", StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_token_is_not_passed_on_to_a_server_behind_a_URL()
    {
        await using var upstream = await RecordingListener.StartAsync();
        var port = UnusedPort();
        var origin = new Uri($"http://127.0.0.1:{port}");
        var proxy = Run(["--port", $"{port}", "--base-url", origin.AbsoluteUri, "--auth-issuer", Authorization.Issuer, "--no-oauth", upstream.Url]);
        await proxy.ListeningAsync(Transport.StreamableHttp);

        (await PostAsync(origin, Sign(new Uri(origin, "/mcp").AbsoluteUri, "a"))).ShouldBe(HttpStatusCode.OK);

        upstream.Methods.ShouldContain("POST");
        upstream.Values("Authorization").ShouldAllBe(value => value.Length == 0);
    }

    [Fact]
    public async Task An_authorization_server_that_is_not_there_is_not_the_clients_fault()
    {
        var (_, origin) = await ServeAsync(Era.Legacy);
        var token = Sign(new Uri(origin, "/mcp").AbsoluteUri, "a");
        await Authorization.LeaveAsync();

        (await PostAsync(origin, token)).ShouldBe(HttpStatusCode.ServiceUnavailable);
    }

    private string Sign(string resource, string scope) => Authorization.Signer!.Sign(new("client", "ann", scope.Split(' '), resource), Authorization.Issuer, 60);

    private static async Task<HttpStatusCode> PostAsync(Uri origin, string token)
    {
        using var http = new HttpClient();
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(origin, "/mcp")) { Content = new StringContent(Messages.Initialize(1), Encoding.UTF8, "application/json") };
        request.Headers.Authorization = new("Bearer", token);
        request.Headers.Accept.ParseAdd("application/json, text/event-stream");
        using var answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken).Within("the answer");
        return answer.StatusCode;
    }

    private async Task<(Proxy Proxy, Uri Origin)> ServeAsync(Era era, params string[] options)
    {
        var port = UnusedPort();
        var origin = new Uri($"http://127.0.0.1:{port}");
        var proxy = Run(["--port", $"{port}", "--base-url", origin.AbsoluteUri, "--auth-issuer", Authorization.Issuer, .. options, .. Proxy.ChildOptions, "--", .. TestServer.Command(era)]);
        await proxy.ListeningAsync(Transport.StreamableHttp);
        return (proxy, origin);
    }
}
