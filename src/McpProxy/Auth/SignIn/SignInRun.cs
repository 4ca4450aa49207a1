using McpProxy.Auth.Clients;
using McpProxy.Auth.Discovery;
using McpProxy.Auth.Grants;
using McpProxy.Auth.Store;
using Microsoft.Extensions.Logging;

namespace McpProxy.Auth.SignIn;

/// <summary>
/// One sign-in by the user. Of all processes that need it, one leads; the others wait for its tokens, and one of them goes
/// on with what it began when it dies.
/// </summary>
internal sealed partial class SignInRun(OAuthContext context, TokenKeeper keeper, IBrowser browser, SignInNeed need, Action<SignInPrompt> announce)
{
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan s_pagePatience = TimeSpan.FromSeconds(30);

    private readonly ILogger _logger = context.Logger;
    private readonly TaskCompletionSource<string> _code = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<string?> _outcome = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _flowIsKnown = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private StoredFlow? _flow;
    private bool _sendsIssuer;

    /// <summary>Signs in, or waits until another process has.</summary>
    /// <exception cref="OAuthException">It did not work.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var (held, followed) = await LeadAsync(cancellationToken);
        if (held is null)
        {
            return;
        }

        using (held)
        {
            // Another process may have finished between our last look and the lock.
            if (keeper.TryReload(need.Refused, need.Scope, isNew: true))
            {
                return;
            }

            if (context.Store.ReadFlow(context.Key)?.Failure is { } failure)
            {
                if (followed)
                {
                    // The user has been asked, and has answered.
                    throw new OAuthException(OAuthFailure.Denied, failure);
                }

                context.Store.WriteFlow(context.Key, null);
            }

            try
            {
                await SignInAsync(followed, cancellationToken);
            }
            catch (OAuthException e)
            {
                context.Store.WriteFlow(context.Key, e.Failure == OAuthFailure.Denied ? new() { Failure = e.Message } : null);
                throw;
            }
        }
    }

    /// <summary>Takes the answer of the authorization server from a URL that the user copied from the browser.</summary>
    /// <returns>Null when it was taken; else what is wrong with it.</returns>
    public async Task<string?> TakeRedirectAsync(string url, CancellationToken cancellationToken)
    {
        if (!Uri.TryCreate(url, UriKind.Absolute, out var redirect) || redirect.Query.Length < 2)
        {
            return "that is no URL with an answer in it: copy the whole address that the browser ended on";
        }

        if (Volatile.Read(ref _flow) is not null)
        {
            return Take(redirect.Query[1..]);
        }

        return context.Store.ReadFlow(context.Key)?.RedirectUri is { } leader && RedirectAddress.TryParse(leader) is { } address
            ? await PassToLeaderAsync(new($"http://127.0.0.1:{address.Port}{address.Path}{redirect.Query}"), cancellationToken)
            : "there is no sign-in yet that it could belong to";
    }

    /// <summary>Gives an answer to the process that leads, the way the browser would.</summary>
    private static async Task<string?> PassToLeaderAsync(Uri url, CancellationToken cancellationToken)
    {
        try
        {
            using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false });
            using var response = await http.GetAsync(url, cancellationToken);
            return response.IsSuccessStatusCode ? null : "the sign-in did not take it";
        }
        catch (HttpRequestException e)
        {
            return $"the process that signs in cannot be reached: {e.Message}";
        }
    }

    private async Task<(IDisposable? Held, bool Followed)> LeadAsync(CancellationToken cancellationToken)
    {
        string? announced = null;
        for (var followed = false; ; followed = true)
        {
            if (context.Store.TryLock(context.Key, StoreLock.SignIn) is { } held)
            {
                return (held, followed);
            }

            if (keeper.TryReload(need.Refused, need.Scope, isNew: true))
            {
                return (null, followed);
            }

            if (context.Store.ReadFlow(context.Key) is { IsShown: true } flow && flow.Url != announced)
            {
                announced = flow.Url;
                announce(new(context.ServerName, new(flow.Url), flow.UserCode));
            }

            await Task.Delay(s_poll, context.Time, cancellationToken);
        }
    }

    private async Task SignInAsync(bool followed, CancellationToken cancellationToken)
    {
        var server = await FindServerAsync(cancellationToken);
        var scope = ScopeFor(server);
        var dpop = NewDpopKey(server);
        if (context.Options.Grant == OAuthGrant.DeviceCode)
        {
            await SignInByDeviceAsync(server, scope, dpop, followed, cancellationToken);
        }
        else
        {
            await SignInByBrowserAsync(server, scope, dpop, followed, cancellationToken);
        }
    }

    /// <summary>The first authorization server that can be used; the one that a client was given for, if there is one.</summary>
    private async Task<AuthorizationServer> FindServerAsync(CancellationToken cancellationToken)
    {
        var issuers = need.Resource.AuthorizationServers;
        var given = context.Options.Client;
        if (given is not null)
        {
            var known = given.Issuer ?? (context.Store.Read(context.Key) is { Current: { Tokens: { } tokens } } signIn && tokens.ClientId == given.Id ? signIn.Issuer : null);
            if (known is not null && !issuers.Contains(known, StringComparer.Ordinal))
            {
                throw new OAuthException(
                    OAuthFailure.Unusable,
                    $"the client {given.Id} is registered with {known}, but {context.ServerName} now names {string.Join(", ", issuers)}: ask for a client id there (or \"mcp-proxy logout\", if it is good there too)");
            }

            issuers = known is null ? issuers : [known];
        }

        return await context.Discovery.FindFirstServerAsync(issuers, need.Resource.IsImplied, Check, cancellationToken);
    }

    private void Check(AuthorizationServer server)
    {
        // All that will be needed, before a page opens.
        _ = context.Http.Checked(server.TokenEndpoint ?? throw new OAuthException(OAuthFailure.Unusable, $"the metadata of the authorization server {server.Issuer} names no token endpoint"));
        if (context.Options.Grant == OAuthGrant.DeviceCode)
        {
            _ = server.DeviceAuthorizationEndpoint
                ?? throw new OAuthException(OAuthFailure.Unusable, $"the authorization server {server.Issuer} has no device authorization endpoint: leave out --device-code");
            return;
        }

        _ = context.Http.Checked(server.AuthorizationEndpoint
            ?? throw new OAuthException(OAuthFailure.Unusable, $"the authorization server {server.Issuer} has no authorization endpoint; it may offer --device-code or --client-credentials"));
        if (server.IsImplied || server.CodeChallengeMethods?.Contains("S256", StringComparer.Ordinal) == true)
        {
            return;
        }

        // Some that are in wide use do PKCE and do not say so. Whoever was given a client id there has reason to trust them.
        if (server.CodeChallengeMethods is null && context.Options.Client is not null)
        {
            LogPkceUnknown(server.Issuer);
            return;
        }

        throw new OAuthException(OAuthFailure.Unusable, $"the authorization server {server.Issuer} does not say that it supports PKCE with S256, without which a sign-in is not safe; its owner has to correct that, or to give you a client id (--client-id)");
    }

    /// <summary>The scopes to ask for; <c>offline_access</c> among them where it is offered, unless the user said which they want.</summary>
    private ScopeSet ScopeFor(AuthorizationServer server) =>
        context.Options.Scope is null && server.ScopesSupported.Contains("offline_access") ? need.Scope.Union(ScopeSet.Of(["offline_access"])) : need.Scope;

    private DpopKey? NewDpopKey(AuthorizationServer server)
    {
        if (!need.WantsDpop && !need.Resource.RequiresDpop)
        {
            return null;
        }

        return server.DpopAlgorithms?.Contains("ES256", StringComparer.Ordinal) != false
            ? new(JwtSigner.Create())
            : throw new OAuthException(OAuthFailure.Unusable, $"{context.ServerName} wants tokens that are bound to a key, and {server.Issuer} takes no ES256 proofs");
    }

    private async Task SignInByBrowserAsync(AuthorizationServer server, ScopeSet scope, DpopKey? dpop, bool followed, CancellationToken cancellationToken)
    {
        var client = ClientFor(server);
        var earlier = context.Store.ReadFlow(context.Key);
        await using var listener = Listen(server, client, earlier, out var address);
        string? resource;
        StoredFlow flow;
        bool wasShown;
        try
        {
            if (client is null || (client.IsRegistered && !client.RedirectUris.Contains(address.Uri, StringComparer.Ordinal)))
            {
                client = await context.Registrar.RegisterAsync(server, address.Uri, cancellationToken);
                await KeepClientAsync(server, client, cancellationToken);
            }

            _sendsIssuer = server.SendsIssuer;
            resource = context.ResourceParameter(need.Resource);
            flow = earlier is not null && IsSame(earlier, server, client, scope, resource, address.Uri) ? earlier : AuthorizationRequest.Create(context, server, client, scope, resource, address.Uri);
            wasShown = flow == earlier && flow.IsShown;
            Volatile.Write(ref _flow, flow);
        }
        finally
        {
            _flowIsKnown.TrySetResult();
        }

        try
        {
            Show(flow, open: !(wasShown && followed), cancellationToken);
            var code = await CodeAsync(listener, cancellationToken);

            // From here on the code is spent: nobody can go on with this flow, and its tokens must not be lost to a cancellation.
            context.Store.WriteFlow(context.Key, null);
            var form = OAuthContext.Form("authorization_code", resource, scope: null, ("code", code), ("redirect_uri", flow.RedirectUri), ("code_verifier", flow.Verifier));
            var tokens = await RequestAsync(server, client, form, scope, dpop, CancellationToken.None);
            await KeepAsync(server, client, tokens, resource, dpop, CancellationToken.None);
            _outcome.TrySetResult(null);
        }
        catch (Exception e)
        {
            // The page in the browser waits for it, and the listener for the page.
            _outcome.TrySetResult(e is OAuthException ? e.Message : "mcp-proxy ended before the sign-in was complete");
            throw;
        }
    }

    /// <summary>Waits for the browser to come back. One that has just come is served even when this process is told to end.</summary>
    private async Task<string> CodeAsync(CallbackListener listener, CancellationToken cancellationToken)
    {
        try
        {
            return await WithinAsync(_code.Task, cancellationToken);
        }
        catch (OperationCanceledException) when (!_code.Task.IsCompleted)
        {
            listener.StopListening();
            if (!_code.Task.IsCompletedSuccessfully)
            {
                throw;
            }
        }
        catch (OperationCanceledException)
        {
            // It came at the same moment.
        }

        return await _code.Task;
    }

    private async Task SignInByDeviceAsync(AuthorizationServer server, ScopeSet scope, DpopKey? dpop, bool followed, CancellationToken cancellationToken)
    {
        var client = ClientFor(server);
        if (client is null or { IsRegistered: true, RedirectUris.Count: > 0 })
        {
            // One registered for the browser may not use this grant.
            client = await context.Registrar.RegisterAsync(server, redirectUri: null, cancellationToken);
            await KeepClientAsync(server, client, cancellationToken);
        }

        var resource = context.ResourceParameter(need.Resource);
        var grant = new DeviceGrant(context, server, client, scope, resource, dpop);
        var earlier = context.Store.ReadFlow(context.Key);
        var goesOn = earlier is { DeviceCode: not null } && IsSame(earlier, server, client, scope, resource, redirectUri: null) && earlier.ExpiresAt > context.Time.GetUtcNow().ToUnixTimeMilliseconds();
        var flow = goesOn ? earlier! : await grant.StartAsync(cancellationToken);
        Show(flow, open: !(goesOn && followed), cancellationToken);
        using var polling = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        TokenSet tokens;
        try
        {
            tokens = await WithinAsync(grant.PollAsync(flow, polling.Token), cancellationToken);
        }
        finally
        {
            await polling.CancelAsync();
        }

        context.Store.WriteFlow(context.Key, null);
        await KeepAsync(server, client, tokens, resource, dpop, CancellationToken.None);
    }

    /// <summary>Who we are to a server, if that is known: in the order of MCP 2026-07-28, "Client Registration".</summary>
    private OAuthClient? ClientFor(AuthorizationServer server)
    {
        if (context.Options.Client is { } given)
        {
            return given;
        }

        if (context.Options.ClientMetadataUrl is { } url && server.SupportsClientMetadataDocuments)
        {
            return new(url.OriginalString) { AuthMethod = context.Authentication.HasKey ? "private_key_jwt" : "none", Issuer = server.Issuer };
        }

        var stored = context.Store.Read(context.Key).Issuers.GetValueOrDefault(server.Issuer)?.Client?.ToClient(server.Issuer);
        return stored?.SecretExpiresAt <= context.Time.GetUtcNow() ? null : stored;
    }

    /// <summary>Listens where the browser will come back to: where a sign-in that goes on said, where the client is registered, or where it always is for this server.</summary>
    private CallbackListener Listen(AuthorizationServer server, OAuthClient? client, StoredFlow? earlier, out RedirectAddress address)
    {
        var options = context.Options;
        var fitting = client?.RedirectUris.Select(RedirectAddress.TryParse).OfType<RedirectAddress>().Where(IsWanted).ToList() ?? [];
        var registered = fitting.Find(candidate => RedirectAddress.IsForBrowsers(candidate.Port));
        if (registered is null && fitting.Count > 0 && client is { IsRegistered: false })
        {
            throw new OAuthException(OAuthFailure.Unusable, $"no browser opens port {fitting[0].Port}, which the client's redirect URI {fitting[0].Uri} names: it has to be registered with another");
        }

        var usual = registered
            ?? new(options.CallbackHost ?? "localhost", options.CallbackPort ?? RedirectAddress.PortFor(context.Key.Number), options.CallbackPath ?? RedirectAddress.DefaultPath);

        // A sign-in to go on with ends where it said that it would.
        var before = earlier?.RedirectUri is { } uri && client is not null && IsYoung(earlier) && earlier.Issuer == server.Issuer && earlier.ClientId == client.Id
            && (client.RedirectUris.Count == 0 || client.RedirectUris.Contains(uri, StringComparer.Ordinal)) ? RedirectAddress.TryParse(uri) : null;
        RedirectAddress[] candidates = before is not null && IsWanted(before) && RedirectAddress.IsForBrowsers(before.Port) ? [before, usual] : [usual];
        foreach (var candidate in candidates)
        {
            if (CallbackListener.TryStart(candidate, AnswerBrowserAsync, context.Logger) is { } listener)
            {
                address = candidate;
                return listener;
            }
        }

        if (options.CallbackPort is not null)
        {
            throw new OAuthException(OAuthFailure.Unusable, $"another program uses port {usual.Port} of this machine, which the browser is to come back to (--callback-port)");
        }

        if (registered is not null && client is { IsRegistered: false })
        {
            throw new OAuthException(OAuthFailure.Unusable, $"another program uses port {usual.Port} of this machine, which the client's redirect URI {usual.Uri} names");
        }

        address = usual with { Port = CallbackListener.FindFreePort(usual) };
        LogOtherPort(usual.Port, address.Port);
        return CallbackListener.TryStart(address, AnswerBrowserAsync, context.Logger)
            ?? throw new OAuthException(OAuthFailure.Temporary, "no port could be had for the browser to come back to");

        bool IsWanted(RedirectAddress candidate) =>
            (options.CallbackPort ?? candidate.Port) == candidate.Port && (options.CallbackHost ?? candidate.Host) == candidate.Host && (options.CallbackPath ?? candidate.Path) == candidate.Path;
    }

    private bool IsYoung(StoredFlow flow) => UnixTime.FromMilliseconds(flow.StartedAt) + context.Options.SignInTimeout > context.Time.GetUtcNow();

    private bool IsSame(StoredFlow flow, AuthorizationServer server, OAuthClient client, ScopeSet scope, string? resource, string? redirectUri) =>
        flow.Issuer == server.Issuer && flow.ClientId == client.Id && flow.Scope == scope.ToParameter() && flow.Resource == resource && flow.RedirectUri == redirectUri
        && IsYoung(flow)
        && (redirectUri is null || flow is { State: not null, Verifier: not null });

    private void Show(StoredFlow flow, bool open, CancellationToken cancellationToken)
    {
        var url = context.Http.Checked(new Uri(flow.Url));
        context.Store.WriteFlow(context.Key, flow);
        announce(new(context.ServerName, url, flow.UserCode));
        if (open && context.Options.OpenBrowser)
        {
            _ = OpenAsync(url, cancellationToken);
        }

        context.Store.WriteFlow(context.Key, flow with { IsShown = true });
    }

    private async Task OpenAsync(Uri url, CancellationToken cancellationToken)
    {
        if (await browser.OpenAsync(url, cancellationToken) is { } reason)
        {
            LogNotOpened(reason);
        }
    }

    private async Task<T> WithinAsync<T>(Task<T> answer, CancellationToken cancellationToken)
    {
        try
        {
            return await answer.WaitAsync(context.Options.SignInTimeout, context.Time, cancellationToken);
        }
        catch (TimeoutException)
        {
            throw new OAuthException(OAuthFailure.Denied, $"nobody signed in within {context.Options.SignInTimeout.TotalSeconds:0} s (--auth-timeout)");
        }
    }

    private async Task<TokenSet> RequestAsync(
        AuthorizationServer server, OAuthClient client, List<KeyValuePair<string, string>> form, ScopeSet scope, DpopKey? dpop, CancellationToken cancellationToken)
    {
        try
        {
            return await context.Tokens.RequestAsync(server, client, form, scope, dpop, cancellationToken);
        }
        catch (OAuthException e) when (e.Failure == OAuthFailure.InvalidClient && client.IsRegistered)
        {
            using var held = await context.LockAsync(StoreLock.Change, cancellationToken);
            context.Store.Write(context.Key, context.Store.Read(context.Key).With(server.Issuer, stored => stored with { Client = null }));
            throw;
        }
    }

    private async Task KeepClientAsync(AuthorizationServer server, OAuthClient client, CancellationToken cancellationToken)
    {
        using var held = await context.LockAsync(StoreLock.Change, cancellationToken);
        var signIn = context.Store.Read(context.Key);
        context.Store.Write(context.Key, signIn.With(server.Issuer, stored => stored with { Client = StoredClient.Of(client) }) with { Issuer = signIn.Issuer }, isProvisional: true);
    }

    private async Task KeepAsync(AuthorizationServer server, OAuthClient client, TokenSet tokens, string? resource, DpopKey? dpop, CancellationToken cancellationToken)
    {
        using var held = await context.LockAsync(StoreLock.Change, cancellationToken);
        keeper.Keep(server.Issuer, client, tokens, resource, dpop, CredentialOrigin.Granted);
    }

    /// <summary>Takes what the browser brings back, and shows how the sign-in ended once that is known.</summary>
    private async Task<byte[]> AnswerBrowserAsync(string query, CancellationToken cancellationToken)
    {
        try
        {
            // Who goes on with the sign-in of a process that died listens before it knows what it waits for, and the browser may have been trying.
            await _flowIsKnown.Task.WaitAsync(s_pagePatience, context.Time, CancellationToken.None);
        }
        catch (TimeoutException)
        {
            // Then it belongs to nothing that is known.
        }

        if (Take(query) is { } problem)
        {
            return CallbackPage.Response(400, "This is not the sign-in that mcp-proxy waits for", problem, isGood: false);
        }

        string? failure;
        try
        {
            failure = await _outcome.Task.WaitAsync(s_pagePatience, context.Time, CancellationToken.None);
        }
        catch (TimeoutException)
        {
            failure = "the authorization server has not issued a token yet";
        }

        return failure is not null ? CallbackPage.Response(400, "The sign-in did not work", $"{Sentence(failure)} You can close this page.", isGood: false)
            : context.Options.SuccessUrl is { } url ? CallbackPage.Redirect(url)
            : CallbackPage.Response(200, "You are signed in", $"mcp-proxy can use {context.ServerName} now. You can close this page.", isGood: true);
    }

    private static string Sentence(string text) => $"{char.ToUpperInvariant(text[0])}{text[1..].TrimEnd('.')}.";

    /// <summary>Takes an authorization response.</summary>
    /// <returns>Null when it was taken; else why it belongs to nothing.</returns>
    private string? Take(string query)
    {
        var response = Volatile.Read(ref _flow) is { } flow ? AuthorizationResponse.Read(query, flow, _sendsIssuer) : AuthorizationResponse.Foreign;
        if (response.Problem is not null)
        {
            LogForeignAnswer();
        }
        else if (response.Failure is { } failure)
        {
            _code.TrySetException(failure);
        }
        else
        {
            _code.TrySetResult(response.Code!);
        }

        return response.Problem;
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The authorization server {Issuer} does not say whether it supports PKCE; it is used all the same, since a client id for it was given")]
    private partial void LogPkceUnknown(string issuer);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Port {Usual} is in use: the browser is to come back to port {Port}, which the authorization server may not accept")]
    private partial void LogOtherPort(int usual, int port);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The browser could not be opened: {Reason}. Open the page yourself")]
    private partial void LogNotOpened(string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "An answer came that belongs to no sign-in under way; ignored")]
    private partial void LogForeignAnswer();
}
