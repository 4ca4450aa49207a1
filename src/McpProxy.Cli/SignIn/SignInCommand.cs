using System.Net;
using System.Text;
using McpProxy.Auth;
using McpProxy.Transports.Http;
using McpProxy.Transports.StreamableHttp;

namespace McpProxy.Cli.SignIn;

/// <summary>The commands that sign in to one server, and out again.</summary>
internal static class SignInCommand
{
    /// <summary>What a client begins with: any server that wants a sign-in says so in its answer.</summary>
    private static ReadOnlyMemory<byte> Introduction { get; } = Encoding.UTF8.GetBytes(
        """{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"mcp-proxy login","version":"1"}}}""");

    /// <summary>Signs in now.</summary>
    /// <returns>The exit code.</returns>
    public static async Task<int> LoginAsync(HttpUpstream upstream, HttpUpstreamOptions options, CancellationToken cancellationToken)
    {
        if (upstream.Authorization is not { } authorization)
        {
            return Fail("there is nothing to sign in with: leave out --no-oauth and the Authorization header");
        }

        using var client = upstream.NewClient();
        // On a thread of its own, which it blocks until a line comes, if ever.
        var pasting = Task.Run(() => PasteAsync(authorization, cancellationToken), cancellationToken);
        try
        {
            using var response = await IntroduceAsync(client, options, cancellationToken);
            if (response.StatusCode is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden)
            {
                var (_, text) = await client.ReadRefusalAsync(response, cancellationToken);
                return Fail(text);
            }

            Console.WriteLine(authorization.IsSignedIn ? $"Signed in to {upstream.Name}{Until(authorization)}." : $"{upstream.Name} needs no sign-in.");
            return ExitCode.Success;
        }
        catch (UpstreamHttpException e)
        {
            return Fail(e.Message);
        }
        catch (OperationCanceledException)
        {
            return Fail("stopped before the sign-in was complete");
        }
        finally
        {
            // It ends with the program.
            _ = pasting;
        }
    }

    /// <summary>Forgets the tokens for a server.</summary>
    /// <returns>The exit code.</returns>
    public static async Task<int> LogoutAsync(HttpUpstream upstream, CancellationToken cancellationToken)
    {
        if (upstream.Authorization is not { } authorization)
        {
            return Fail("with --no-oauth or an Authorization header there is nothing to forget");
        }

        var wasSignedIn = await authorization.ForgetAsync(cancellationToken);
        Console.WriteLine(wasSignedIn ? $"Signed out of {upstream.Name}." : $"Nobody is signed in to {upstream.Name}.");
        return ExitCode.Success;
    }

    private static async Task<HttpResponseMessage> IntroduceAsync(UpstreamHttpClient client, HttpUpstreamOptions options, CancellationToken cancellationToken)
    {
        var isSse = options.Transport is HttpTransportChoice.SseOnly or HttpTransportChoice.SseFirst;
        var response = isSse ? await OpenStreamAsync() : await PostAsync();
        if (response.StatusCode is HttpStatusCode.NotFound or HttpStatusCode.MethodNotAllowed && options.Transport is HttpTransportChoice.SseFirst or HttpTransportChoice.StreamableHttpFirst)
        {
            response.Dispose();
            response = isSse ? await PostAsync() : await OpenStreamAsync();
        }

        if (response.Headers.TryGetValues(McpHeaders.SessionId, out var sessions))
        {
            // Nobody is going to use it.
            using var ended = await client.SendAsync(
                HttpMethod.Delete, options.Url, null, UpstreamHttpClient.ControlTimeout, RequestOccasion.Background, headers => headers.TryAddWithoutValidation(McpHeaders.SessionId, sessions.First()), cancellationToken);
        }

        return response;

        ValueTask<HttpResponseMessage> PostAsync() => client.SendAsync(
            HttpMethod.Post, options.Url, Introduction, UpstreamHttpClient.ControlTimeout, RequestOccasion.UserAction, static headers => headers.TryAddWithoutValidation("Accept", "application/json, text/event-stream"), cancellationToken);

        ValueTask<HttpResponseMessage> OpenStreamAsync() => client.SendAsync(
            HttpMethod.Get, options.Url, null, UpstreamHttpClient.ControlTimeout, RequestOccasion.UserAction, static headers => headers.TryAddWithoutValidation("Accept", "text/event-stream"), cancellationToken);
    }

    /// <summary>Takes the address that the browser ended on, for a machine that the browser cannot come back to.</summary>
    private static async Task PasteAsync(OAuthAuthorization authorization, CancellationToken cancellationToken)
    {
        try
        {
            using var input = new StreamReader(Console.OpenStandardInput());
            while (await input.ReadLineAsync(cancellationToken) is { } line)
            {
                if (line.Trim() is { Length: > 0 } url && await authorization.TakeRedirectAsync(url, cancellationToken) is { } problem)
                {
                    await Console.Error.WriteLineAsync($"mcp-proxy: {problem}");
                }
            }
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            // Nothing more can be pasted.
        }
    }

    private static string Until(OAuthAuthorization authorization) =>
        authorization.SignedInUntil is { } until ? $", until {until.ToLocalTime():yyyy-MM-dd HH:mm:ss zzz} (then it is renewed, if the server allows it)" : "";

    private static int Fail(string reason)
    {
        Console.Error.WriteLine($"mcp-proxy: {reason}");
        return ExitCode.Failure;
    }
}
