using McpProxy.Auth.Clients;
using McpProxy.Auth.Discovery;

namespace McpProxy.Auth.Grants;

/// <summary>Gets tokens without a user, one request at a time. A refusal holds for a while: asking again would change nothing.</summary>
internal sealed class DirectTokens(OAuthContext context, TokenKeeper keeper) : IDisposable
{
    private static readonly TimeSpan s_refusalMemory = TimeSpan.FromMinutes(1);

    private readonly SemaphoreSlim _one = new(1, 1);
    private ProtectedResource? _resource;
    private OAuthException? _refusal;
    private DateTimeOffset _refusedAt;

    /// <summary>Gets tokens in place of those that were refused.</summary>
    /// <param name="used">What was refused; null when nothing was.</param>
    /// <param name="challenge">The refusal; null when the server gave none.</param>
    /// <param name="scope">The scopes that are needed.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="OAuthException">There are none.</exception>
    public async Task RequestAsync(AccessCredential? used, AuthenticationChallenge? challenge, ScopeSet scope, CancellationToken cancellationToken)
    {
        var resource = context.Options.TokenEndpoint is null ? await context.Discovery.FindResourceAsync(challenge?.ResourceMetadata, cancellationToken) : null;
        await RequestAsync(used, resource, scope, challenge?.IsDpop == true, cancellationToken);
    }

    /// <summary>Renews tokens that are about to end, where they came from: without a challenge another server could be found, which must not see the client's secret.</summary>
    /// <exception cref="OAuthException">There are none.</exception>
    public Task RenewAsync(AccessCredential? current, CancellationToken cancellationToken) =>
        RequestAsync(current, _resource, current?.Tokens.Scope ?? ScopeSet.None, wantsDpop: false, cancellationToken);

    public void Dispose() => _one.Dispose();

    private async Task RequestAsync(AccessCredential? used, ProtectedResource? resource, ScopeSet scope, bool wantsDpop, CancellationToken cancellationToken)
    {
        await _one.WaitAsync(cancellationToken);
        try
        {
            if (keeper.Current is { } current && current != used)
            {
                return;
            }

            if (_refusal is not null && context.Time.GetUtcNow() - _refusedAt < s_refusalMemory)
            {
                throw _refusal;
            }

            var dpop = wantsDpop || used?.Dpop is not null || resource?.RequiresDpop == true ? used?.Dpop ?? new DpopKey(JwtSigner.Create()) : null;
            _resource = resource;
            var granted = await new DirectGrant(context).RequestAsync(resource, scope, dpop, cancellationToken);
            granted.Origin = CredentialOrigin.Granted;
            keeper.Use(granted);
        }
        catch (OAuthException e) when (e.Failure != OAuthFailure.Temporary && e != _refusal)
        {
            _refusal = e;
            _refusedAt = context.Time.GetUtcNow();
            throw;
        }
        finally
        {
            _one.Release();
        }
    }
}
