using McpProxy.Auth.Clients;
using McpProxy.Auth.Discovery;
using McpProxy.Auth.Grants;
using McpProxy.Auth.Store;
using Microsoft.Extensions.Logging;

namespace McpProxy.Auth;

/// <summary>
/// Holds the tokens in use, the same as other processes of this user: reads and writes the store, and renews, one process
/// at a time, what has ended or is about to.
/// </summary>
internal sealed partial class TokenKeeper(OAuthContext context, McpRemoteStore others) : IAsyncDisposable
{
    private static readonly TimeSpan s_grace = TimeSpan.FromSeconds(5);

    private readonly ILogger _logger = context.Logger;
    private readonly SemaphoreSlim _renewing = new(1, 1);
    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _gate = new();
    private volatile AccessCredential? _current;
    private volatile bool _isLoaded;
    private Task _lastRenewal = Task.CompletedTask;
    private string? _refusedToken;

    /// <summary>The tokens in use; those that are stored, the first time. Null when there are none.</summary>
    public AccessCredential? Current
    {
        get
        {
            if (!_isLoaded)
            {
                lock (_gate)
                {
                    if (!_isLoaded)
                    {
                        try
                        {
                            Adopt(context.Store.Read(context.Key));
                        }
                        finally
                        {
                            // Also where it cannot be used: then there is nothing, and the user signs in.
                            _isLoaded = true;
                        }
                    }
                }
            }

            return _current;
        }
    }

    /// <summary>Takes over what another process has stored since.</summary>
    /// <param name="refused">The access token that is of no use; null for none.</param>
    /// <param name="needed">The scopes that the tokens must have been requested with.</param>
    /// <param name="isNew">Whether it can only be new, so that its end by this machine's clock does not count.</param>
    /// <returns>Whether there is something else that can be used.</returns>
    public bool TryReload(string? refused, ScopeSet needed, bool isNew = false)
    {
        var signIn = context.Store.Read(context.Key);
        if (signIn.Current?.Tokens is not { } tokens || tokens.AccessToken == refused || !context.Accepts(tokens)
            || !ScopeSet.Parse(tokens.Scope).Covers(needed) || (!isNew && tokens.ToTokens().IsOver(context.Time.GetUtcNow())))
        {
            return false;
        }

        lock (_gate)
        {
            Adopt(signIn);
            _isLoaded = true;
        }

        return true;
    }

    /// <summary>Renews tokens without the user.</summary>
    /// <param name="refused">The access token that is of no use; null when there is none.</param>
    /// <param name="resource">What the server says about itself now; null when it was not asked.</param>
    /// <param name="mayRefresh">Whether to spend the refresh token; else only what other processes have stored is looked at.</param>
    /// <param name="cancellationToken">Stops waiting; what was begun goes on.</param>
    /// <returns>Whether there are tokens that can be used; if not, the user has to sign in.</returns>
    /// <exception cref="OAuthException">It may work later: everything is as it was.</exception>
    public Task<bool> RenewAsync(string? refused, ProtectedResource? resource, bool mayRefresh, CancellationToken cancellationToken)
    {
        // Not the caller's to cancel: a refresh token that was spent for an answer nobody kept is a lost sign-in.
        var renewal = RenewAsync(refused, resource, mayRefresh);
        lock (_gate)
        {
            _lastRenewal = _lastRenewal.IsCompleted ? renewal : Task.WhenAll(_lastRenewal, renewal);
        }

        return renewal.WaitAsync(cancellationToken);
    }

    private async Task<bool> RenewAsync(string? refused, ProtectedResource? resource, bool mayRefresh)
    {
        await _renewing.WaitAsync(_closing.Token);
        try
        {
            if (Current is { } current && current.Tokens.AccessToken != refused && !current.Tokens.IsOver(context.Time.GetUtcNow()))
            {
                return true;
            }

            using var held = await context.LockAsync(StoreLock.Change, _closing.Token);
            if (TryReload(refused, ScopeSet.None))
            {
                return true;
            }

            var signIn = context.Store.Read(context.Key);
            if (signIn.Current?.Tokens is null && resource is not null && Import(signIn, resource))
            {
                if (TryReload(refused, ScopeSet.None))
                {
                    return true;
                }

                signIn = context.Store.Read(context.Key);
            }

            return mayRefresh && await RefreshAsync(signIn, resource);
        }
        finally
        {
            _renewing.Release();
        }
    }

    /// <summary>Stores new tokens and uses them. Under <see cref="StoreLock.Change"/>.</summary>
    public void Keep(string issuer, OAuthClient client, TokenSet tokens, string? resource, DpopKey? dpop, CredentialOrigin origin)
    {
        context.Store.Write(context.Key, context.Store.Read(context.Key).With(issuer, stored => stored with
        {
            Client = client.IsRegistered ? StoredClient.Of(client) : null,
            Tokens = StoredTokens.Of(tokens),
            Resource = resource,
            DpopKey = tokens.IsDpop ? dpop?.Export() : null,
        }));
        Use(new(tokens, issuer, resource, tokens.IsDpop ? dpop : null, context.Time) { Origin = origin });
    }

    /// <summary>Uses tokens without storing them.</summary>
    public void Use(AccessCredential? credential)
    {
        lock (_gate)
        {
            _current = credential;
            _isLoaded = true;
        }
    }

    /// <summary>Forgets the tokens, and has the authorization server forget them where it can.</summary>
    /// <returns>Whether there were any.</returns>
    public async Task<bool> ForgetAsync(CancellationToken cancellationToken)
    {
        using var held = await context.LockAsync(StoreLock.Change, cancellationToken);
        var signIn = context.Store.Read(context.Key);
        var wasSignedIn = false;
        foreach (var (issuer, stored) in signIn.Issuers)
        {
            if (stored.Tokens is { } tokens)
            {
                wasSignedIn = true;
                await RevokeAsync(issuer, stored, tokens, cancellationToken);
                signIn = signIn.With(issuer, entry => entry with { Tokens = null, DpopKey = null });
            }
        }

        // What another program has stored must not bring them back.
        context.Store.Write(context.Key, signIn with { Imported = true });
        Use(null);
        return wasSignedIn;
    }

    /// <summary>Waits for a renewal under way, but not for an authorization server that does not answer.</summary>
    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        Task last;
        lock (_gate)
        {
            last = _lastRenewal;
        }

        await Task.WhenAny(last, Task.Delay(s_grace, context.Time));
        if (last.IsCompleted)
        {
            _renewing.Dispose();
            _closing.Dispose();
        }
    }

    private async Task RevokeAsync(string issuer, StoredIssuer stored, StoredTokens tokens, CancellationToken cancellationToken)
    {
        try
        {
            var server = await context.Discovery.FindServerAsync(issuer, isImplied: false, cancellationToken);
            if (server.RevocationEndpoint is null)
            {
                return;
            }

            var client = ClientOf(issuer, stored, tokens);
            if (tokens.RefreshToken is { } refreshToken)
            {
                await context.Tokens.RevokeAsync(server, client, refreshToken, "refresh_token", cancellationToken);
            }

            await context.Tokens.RevokeAsync(server, client, tokens.AccessToken, "access_token", cancellationToken);
        }
        catch (OAuthException e)
        {
            LogNotRevoked(issuer, e.Message);
        }
    }

    /// <summary>The client that tokens were issued to.</summary>
    private OAuthClient ClientOf(string issuer, StoredIssuer stored, StoredTokens tokens) =>
        context.Options.Client is { } given && given.Id == tokens.ClientId ? given
        : stored.Client?.ClientId == tokens.ClientId ? stored.Client.ToClient(issuer)
        : new(tokens.ClientId) { AuthMethod = context.Authentication.HasKey ? "private_key_jwt" : "none" };

    private void Adopt(StoredSignIn signIn)
    {
        if (signIn is not { Issuer: { } issuer, Current: { Tokens: { } tokens } stored } || !context.Accepts(tokens))
        {
            _current = null;
        }
        else if (_current?.Tokens.AccessToken != tokens.AccessToken)
        {
            _current = new(tokens.ToTokens(), issuer, stored.Resource, stored.DpopKey is { } key ? new(JwtSigner.Import(key)) : null, context.Time);
        }
    }

    private bool Import(StoredSignIn signIn, ProtectedResource resource)
    {
        if (signIn.Imported)
        {
            return false;
        }

        if (others.Find(context.Options, context.Server.OriginalString) is not { } found)
        {
            return false;
        }

        // That store does not say who issued them; it is one server's, which names its issuer.
        context.Store.Write(
            context.Key,
            (signIn with { Imported = true }).With(resource.AuthorizationServers[0], stored => stored with { Client = found.Client, Tokens = found.Tokens, Resource = context.ResourceParameter(resource) }),
            isProvisional: true);
        LogImported(context.ServerName);
        return true;
    }

    private async Task<bool> RefreshAsync(StoredSignIn signIn, ProtectedResource? resource)
    {
        if (signIn is not { Issuer: { } issuer, Current: { Tokens: { RefreshToken: { } refreshToken } tokens } stored } || !context.Accepts(tokens)
            || resource?.AuthorizationServers.Contains(issuer, StringComparer.Ordinal) == false)
        {
            return false;
        }

        if (_refusedToken == refreshToken)
        {
            return false;
        }

        var client = ClientOf(issuer, stored, tokens);
        var dpop = stored.DpopKey is { } key ? new DpopKey(JwtSigner.Import(key)) : null;
        try
        {
            var server = await context.Discovery.FindServerAsync(issuer, isImplied: resource?.IsImplied ?? issuer == context.ServerName, _closing.Token);
            var form = OAuthContext.Form("refresh_token", stored.Resource, scope: null, ("refresh_token", refreshToken));
            var renewed = await context.Tokens.RequestAsync(server, client, form, ScopeSet.Parse(tokens.Scope), dpop, CancellationToken.None);
            Keep(issuer, client, renewed with { RefreshToken = renewed.RefreshToken ?? refreshToken }, stored.Resource, dpop, CredentialOrigin.Renewed);
            LogRenewed(context.ServerName);
            return true;
        }
        catch (OAuthException e) when (e.Failure is OAuthFailure.InvalidGrant or OAuthFailure.InvalidClient)
        {
            LogNotRenewed(context.ServerName, e.Message);
            context.Store.Write(context.Key, signIn.With(issuer, entry => entry with
            {
                Tokens = null,
                DpopKey = null,
                Client = e.Failure == OAuthFailure.InvalidClient ? null : entry.Client,
            }));
            Use(null);
            return false;
        }
        catch (OAuthException e) when (e is { Failure: OAuthFailure.Unusable, Code: not null })
        {
            // The server refuses this way to renew; it has not said that the sign-in is over.
            LogNotRenewed(context.ServerName, e.Message);
            _refusedToken = refreshToken;
            return false;
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "The sign-in to {Server} was renewed")]
    private partial void LogRenewed(string server);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The sign-in to {Server} cannot be renewed, a new one is needed: {Reason}")]
    private partial void LogNotRenewed(string server, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The tokens were forgotten here, and {Issuer} could not be told: {Reason}")]
    private partial void LogNotRevoked(string issuer, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "Took over the sign-in to {Server} that mcp-remote has stored")]
    private partial void LogImported(string server);
}
