using System.Net;
using McpProxy.Auth.Discovery;
using McpProxy.Auth.Grants;
using McpProxy.Auth.SignIn;
using McpProxy.Auth.Store;
using McpProxy.Transports.Http;
using Microsoft.Extensions.Logging;

namespace McpProxy.Auth;

/// <summary>
/// The OAuth client for one server (MCP 2026-07-28, "Authorization"): gives requests the tokens that there are, and answers
/// refusals with a renewal, a sign-in, or more scopes.
/// </summary>
internal sealed partial class OAuthAuthorization : IUpstreamAuthorization, IAsyncDisposable
{
    /// <summary>How often one request may be sent again for its credentials.</summary>
    private const int MaxAnswers = 4;

    /// <summary>How often one request may be sent again for a nonce: one that ends meanwhile is replaced once.</summary>
    private const int MaxNonces = 2;

    private static readonly TimeSpan s_introductionWait = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan s_refusalMemory = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan s_grace = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_failureMemory = TimeSpan.FromSeconds(10);

    private readonly OAuthContext _context;
    private readonly TokenKeeper _keeper;
    private readonly IBrowser _browser;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _gate = new();
    private readonly SignInPolicy _policy;
    private readonly DirectTokens _direct;
    private SignInRun? _run;
    private Task<Outcome>? _work;
    private Task<Outcome>? _renewal;
    private TaskCompletionSource _userIsAsked = new();
    private SignInPrompt? _prompt;
    private bool _wasPrompted;
    private DateTimeOffset _renewalFailedAt;
    private string? _refusedFresh;
    private DateTimeOffset _refusedFreshAt;

    public OAuthAuthorization(OAuthContext context, McpRemoteStore others, IBrowser browser)
    {
        _context = context;
        _browser = browser;
        _logger = context.Logger;
        _keeper = new(context, others);
        _policy = new(context.Time);
        _direct = new(context, _keeper);
    }

    private enum Outcome
    {
        /// <summary>There are new tokens.</summary>
        Done,

        /// <summary>The user has been asked for the same often enough.</summary>
        Final,

        /// <summary>The user has to sign in, and must not be asked on this occasion.</summary>
        NeedsUser,
    }

    /// <summary>Tells that the user has to do something. Called once for each page.</summary>
    public event Action<SignInPrompt>? Prompted;

    /// <summary>Whether a user takes part in sign-ins.</summary>
    public bool AsksUser => _context.Options.Grant is OAuthGrant.AuthorizationCode or OAuthGrant.DeviceCode;

    public OAuthOptions Options => _context.Options;

    public TimeProvider Time => _context.Time;

    /// <summary>What the user has to do now; null when nothing.</summary>
    public SignInPrompt? Prompt
    {
        get
        {
            lock (_gate)
            {
                return _prompt;
            }
        }
    }

    /// <summary>Whether what was tried last failed for a reason that passes by itself, before anybody was asked for anything.</summary>
    public bool MayPass
    {
        get
        {
            lock (_gate)
            {
                return _policy.Failure is null && _work?.Exception?.InnerException is OAuthException { Failure: OAuthFailure.Temporary };
            }
        }
    }

    /// <summary>Lets a sign-in follow one that did not work: somebody wants it now.</summary>
    public void ForgetFailure() => _policy.Forget();

    /// <summary>The sign-in under way, or how the last one ended; null when there was none.</summary>
    public Task? SignInUnderWay
    {
        get
        {
            lock (_gate)
            {
                return _work is { IsCompleted: false } || _renewal is null ? _work : _renewal is { IsCompleted: false } ? _renewal : _work ?? _renewal;
            }
        }
    }

    /// <summary>Whether there are tokens.</summary>
    public bool IsSignedIn => _keeper.Current is not null;

    /// <summary>When the tokens end; null when that is not known.</summary>
    public DateTimeOffset? SignedInUntil => _keeper.Current?.Tokens.ExpiresAt;

    private bool MayCarryCredentials => _context.Server.Scheme == Uri.UriSchemeHttps || _context.Server.IsLoopback || _context.Options.AllowHttp;

    public ValueTask<IRequestCredential?> CredentialAsync(RequestOccasion occasion, CancellationToken cancellationToken)
    {
        if (!MayCarryCredentials)
        {
            return default;
        }

        if (_keeper.Current is not { } current)
        {
            return AsksUser || _context.Options.TokenEndpoint is null ? default : new(RenewedAsync(null, occasion, cancellationToken));
        }

        // Without a way to renew, the server decides whether they are over: clocks differ.
        var now = Time.GetUtcNow();
        if (!current.Tokens.IsDue(now) || (AsksUser && current.Tokens.RefreshToken is null))
        {
            return new(current);
        }

        if (!current.Tokens.IsOver(now))
        {
            // They serve while others are fetched.
            _ = RenewOnceAsync(current);
            return new(current);
        }

        return new(RenewedAsync(current, occasion, cancellationToken));
    }

    /// <summary>What is to be used in place of tokens that have ended: new ones, or the same where there are no new ones.</summary>
    private async Task<IRequestCredential?> RenewedAsync(AccessCredential? current, RequestOccasion occasion, CancellationToken cancellationToken)
    {
        try
        {
            await RenewOnceAsync(current).WaitAsync(AsksUser ? PatienceOf(occasion) : Timeout.InfiniteTimeSpan, Time, cancellationToken);
            return _keeper.Current;
        }
        catch (TimeoutException)
        {
            throw new SignInException($"the sign-in to {_context.ServerName} is being renewed, which takes longer than usual", url: null);
        }
        catch (OAuthException)
        {
            // The server has the last word; its refusal names who authorizes for it now.
            return current;
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            throw Defect(e);
        }
    }

    /// <summary>Renews tokens, once for all who wait for it; what has just failed for reasons that pass is not tried again at once.</summary>
    private Task<Outcome> RenewOnceAsync(AccessCredential? current)
    {
        lock (_gate)
        {
            // Beside a sign-in: a page that nobody looks at must not keep good tokens from being renewed.
            if (_renewal is null || (_renewal.IsCompleted && !(_renewal.IsFaulted && Time.GetUtcNow() - _renewalFailedAt < s_failureMemory)))
            {
                _renewal = RenewAsync(current);
            }

            return _renewal;
        }
    }

    private async Task<Outcome> RenewAsync(AccessCredential? current)
    {
        await Task.Yield();
        try
        {
            if (AsksUser)
            {
                return await _keeper.RenewAsync(current?.Tokens.AccessToken, resource: null, mayRefresh: true, _closing.Token) ? Outcome.Done : Outcome.NeedsUser;
            }

            await _direct.RenewAsync(current, _closing.Token);
            return Outcome.Done;
        }
        catch (OAuthException e)
        {
            LogNotRenewed(e.Message);
            _renewalFailedAt = Time.GetUtcNow();
            throw;
        }
    }

    public async Task<bool> AnswerAsync(HttpResponseMessage refusal, AuthorizationAttempt attempt, RequestOccasion occasion, CancellationToken cancellationToken)
    {
        var challenges = AuthenticationChallenge.Of(refusal.Headers);
        var challenge = challenges.FirstOrDefault(candidate => candidate.IsDpop) ?? challenges.FirstOrDefault(candidate => candidate.IsOAuth);
        var used = attempt.Used as AccessCredential;
        if (attempt.Count == MaxAnswers || (challenge is null && challenges.Count > 0))
        {
            return false;
        }

        if (challenge?.Error == "use_dpop_nonce")
        {
            // The token is good; the proof lacked what the server has just sent.
            return used?.Dpop is not null && attempt.Nonces++ < MaxNonces;
        }

        if (refusal.StatusCode == HttpStatusCode.Forbidden ? challenge?.Error != "insufficient_scope" : challenge is null && !MayCarryCredentials)
        {
            return false;
        }

        if (!MayCarryCredentials)
        {
            throw new SignInException($"{_context.ServerName} wants a sign-in, and over plain http tokens could be read on the way (--allow-http accepts that)", url: null);
        }

        try
        {
            return refusal.StatusCode == HttpStatusCode.Unauthorized
                ? await SignInAgainAsync(used, challenge, attempt, occasion, cancellationToken)
                : await StepUpAsync(used, challenge!, attempt, occasion, cancellationToken);
        }
        catch (OAuthException e)
        {
            throw new SignInException($"cannot sign in to {_context.ServerName}: {e.Message}", url: null);
        }
        catch (Exception e) when (e is not (UpstreamHttpException or OperationCanceledException))
        {
            throw Defect(e);
        }
    }

    /// <summary>A defect of ours costs one request, not the session.</summary>
    private UpstreamHttpException Defect(Exception exception)
    {
        LogDefect(exception, _context.ServerName);
        return new($"the sign-in to {_context.ServerName} failed for a reason that lies in this program", requestWasSent: true);
    }

    /// <summary>Takes the answer of a sign-in from a URL that the user copied from the browser.</summary>
    /// <returns>Null when it was taken; else what is wrong with it.</returns>
    public Task<string?> TakeRedirectAsync(string url, CancellationToken cancellationToken)
    {
        SignInRun? run;
        lock (_gate)
        {
            run = _run;
        }

        return run is null ? Task.FromResult<string?>("there is no sign-in under way that it could belong to") : run.TakeRedirectAsync(url, cancellationToken);
    }

    /// <summary>Forgets the tokens, and has the authorization server forget them where it can.</summary>
    /// <returns>Whether there were any.</returns>
    public Task<bool> ForgetAsync(CancellationToken cancellationToken) => _keeper.ForgetAsync(cancellationToken);

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        var last = SignInUnderWay ?? Task.CompletedTask;
        await Task.WhenAny(last, Task.Delay(s_grace, Time));
        await _keeper.DisposeAsync();
        if (last.IsCompleted)
        {
            _direct.Dispose();
            _closing.Dispose();
        }
    }

    private async Task<bool> SignInAgainAsync(
        AccessCredential? used, AuthenticationChallenge? challenge, AuthorizationAttempt attempt, RequestOccasion occasion, CancellationToken cancellationToken)
    {
        var token = used?.Tokens.AccessToken;
        if (_keeper.Current is { } current && current.Tokens.AccessToken != token)
        {
            // Somebody else has seen to it since.
            return true;
        }

        if (used is { Origin: CredentialOrigin.Granted, IsProven: false })
        {
            // What was issued for this server only now: issuing it again would be no better, until somebody has changed something.
            var isNew = token != _refusedFresh;
            if (isNew)
            {
                LogFreshRefused(_context.ServerName);
                _refusedFresh = token;
                _refusedFreshAt = Time.GetUtcNow();
            }

            if (isNew || occasion != RequestOccasion.UserAction || Time.GetUtcNow() - _refusedFreshAt < s_refusalMemory)
            {
                return false;
            }
        }

        if (AsksUser)
        {
            return await WaitAsync(used, challenge, widened: null, attempt, occasion, cancellationToken);
        }

        await _direct.RequestAsync(used, challenge, challenge?.Scope ?? ScopeSet.None, cancellationToken);
        return true;
    }

    private async Task<bool> StepUpAsync(
        AccessCredential? used, AuthenticationChallenge challenge, AuthorizationAttempt attempt, RequestOccasion occasion, CancellationToken cancellationToken)
    {
        if (used is null || challenge.Scope.IsEmpty)
        {
            return false;
        }

        if (_keeper.Current is { } current && current.Tokens.AccessToken != used.Tokens.AccessToken)
        {
            return true;
        }

        var scope = used.Tokens.Scope.Union(challenge.Scope);
        if (used.Tokens.Scope.Covers(challenge.Scope))
        {
            // What was asked for has been asked for: asking again would give the same.
            return false;
        }

        if (AsksUser)
        {
            return await WaitAsync(used, challenge, scope, attempt, occasion, cancellationToken);
        }

        await _direct.RequestAsync(used, challenge, scope, cancellationToken);
        return true;
    }

    /// <summary>Waits for better tokens, as long as the occasion allows.</summary>
    /// <param name="used">What was refused.</param>
    /// <param name="challenge">The refusal.</param>
    /// <param name="widened">The scopes to ask for; null when those that there were are enough.</param>
    /// <param name="attempt">What was tried for the request.</param>
    /// <param name="occasion">Why the request was made.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <exception cref="SignInException">They have not yet, or must not be asked now.</exception>
    /// <exception cref="OAuthException">It did not work.</exception>
    /// <returns>False when the server's word is final.</returns>
    private async Task<bool> WaitAsync(
        AccessCredential? used, AuthenticationChallenge? challenge, ScopeSet? widened, AuthorizationAttempt attempt, RequestOccasion occasion, CancellationToken cancellationToken)
    {
        var started = Time.GetTimestamp();
        var patience = PatienceOf(occasion);

        // In the background nobody is there to wait for.
        var caring = occasion == RequestOccasion.Background ? new CancellationToken(canceled: true) : attempt.Patience;
        while (true)
        {
            var work = Begin(() => ReauthorizeAsync(used, challenge, widened, caring.IsCancellationRequested ? RequestOccasion.Background : occasion));
            try
            {
                var left = patience - Time.GetElapsedTime(started);
                var outcome = await WhileSomebodyCaresAsync(work, caring, cancellationToken).WaitAsync(left > TimeSpan.Zero ? left : TimeSpan.Zero, Time, cancellationToken);
                if (outcome != Outcome.NeedsUser)
                {
                    return outcome == Outcome.Done;
                }
            }
            catch (TimeoutException)
            {
                var prompt = Prompt;
                throw new SignInException(prompt?.Text ?? $"{_context.ServerName} needs a sign-in, which has begun", prompt?.Url);
            }

            // Whoever began it must not ask the user; perhaps this request may.
            if (caring.IsCancellationRequested || !_policy.MayAsk(occasion))
            {
                var reason = _policy.Failure is { } refused ? $" The last one did not work: {refused.Message}." : "";
                throw new SignInException($"{_context.ServerName} needs a sign-in.{reason} It begins with the next call of a tool, or with \"mcp-proxy login\" and the server's URL", url: null);
            }
        }
    }

    /// <summary>Waits for work that the user takes part in only as long as there is somebody to sign in for.</summary>
    private async Task<Outcome> WhileSomebodyCaresAsync(Task<Outcome> work, CancellationToken patience, CancellationToken cancellationToken)
    {
        try
        {
            return await work.WaitAsync(patience);
        }
        catch (OperationCanceledException) when (patience.IsCancellationRequested && !work.IsCompleted)
        {
            return await Task.WhenAny(work, _userIsAsked.Task).WaitAsync(cancellationToken) == work ? await work : Outcome.NeedsUser;
        }
    }

    private TimeSpan PatienceOf(RequestOccasion occasion) =>
        occasion == RequestOccasion.Introduction && Options.RequestWait > s_introductionWait ? s_introductionWait : Options.RequestWait;

    /// <summary>Begins to see to better tokens, or joins those who have begun.</summary>
    private Task<Outcome> Begin(Func<Task<Outcome>> work)
    {
        lock (_gate)
        {
            if (_work is not { IsCompleted: false })
            {
                _userIsAsked = new(TaskCreationOptions.RunContinuationsAsynchronously);
                _work = work();
            }

            return _work;
        }
    }

    private async Task<Outcome> ReauthorizeAsync(AccessCredential? used, AuthenticationChallenge? challenge, ScopeSet? widened, RequestOccasion occasion)
    {
        await Task.Yield();
        try
        {
            // Asked anew each time: who authorizes for a server can change.
            var token = used?.Tokens.AccessToken;
            var resource = await _context.Discovery.FindResourceAsync(challenge?.ResourceMetadata, _closing.Token);
            if (widened is null && await _keeper.RenewAsync(token, resource, mayRefresh: used is not { Origin: CredentialOrigin.Renewed, IsProven: false }, _closing.Token))
            {
                return Outcome.Done;
            }

            if (!_policy.MayAsk(occasion))
            {
                return Outcome.NeedsUser;
            }

            if (widened is not null)
            {
                if (!_policy.TryStepUp(challenge!.Scope))
                {
                    return Outcome.Final;
                }

                LogSteppingUp(_context.ServerName, challenge.Scope);
            }

            var scope = widened ?? ScopeFor(challenge, resource, used);
            var need = new SignInNeed(resource, scope, token, challenge?.IsDpop == true || (widened is not null && used?.Dpop is not null));
            _policy.Begin(occasion);
            await SignInAsync(need);
            return Outcome.Done;
        }
        catch (Exception e) when (e is not (OAuthException or OperationCanceledException))
        {
            LogDefect(e, _context.ServerName);
            throw new OAuthException(OAuthFailure.Unusable, "the reason lies in this program (its log has more)");
        }
        catch (OAuthException e)
        {
            LogSignInFailed(_context.ServerName, e.Message);
            _policy.Fail(e, _wasPrompted);
            throw;
        }
    }

    /// <summary>The user's scopes; else those that the request needs, or those for basic use, with those that there were.</summary>
    private ScopeSet ScopeFor(AuthenticationChallenge? challenge, ProtectedResource resource, AccessCredential? used)
    {
        if (Options.Scope is { } own)
        {
            return ScopeSet.Parse(own);
        }

        var needed = challenge?.Scope is { IsEmpty: false } challenged ? challenged : resource.ScopesSupported ?? ScopeSet.None;
        return used is not null && resource.AuthorizationServers.Contains(used.Issuer, StringComparer.Ordinal) ? used.Tokens.Scope.Union(needed) : needed;
    }

    private async Task SignInAsync(SignInNeed need)
    {
        var run = new SignInRun(_context, _keeper, _browser, need, Announce);
        lock (_gate)
        {
            _wasPrompted = false;
            _run = run;
            _userIsAsked.TrySetResult();
        }

        try
        {
            await run.RunAsync(_closing.Token);
            if (_keeper.Current is { } granted)
            {
                // Also when another process was granted it.
                granted.Origin = CredentialOrigin.Granted;
            }

            LogSignedIn(_context.ServerName);
        }
        finally
        {
            lock (_gate)
            {
                _prompt = null;
                _run = null;
            }
        }
    }

    private void Announce(SignInPrompt prompt)
    {
        lock (_gate)
        {
            _prompt = prompt;
            _wasPrompted = true;
        }

        Prompted?.Invoke(prompt);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Signed in to {Server}")]
    private partial void LogSignedIn(string server);

    [LoggerMessage(Level = LogLevel.Error, Message = "The sign-in to {Server} did not work: {Reason}")]
    private partial void LogSignInFailed(string server, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "Defect while signing in to {Server}")]
    private partial void LogDefect(Exception exception, string server);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The tokens could not be renewed yet: {Reason}")]
    private partial void LogNotRenewed(string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Server} refuses the token that was issued for it only now")]
    private partial void LogFreshRefused(string server);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Server} wants more scopes: {Scope}")]
    private partial void LogSteppingUp(string server, ScopeSet scope);
}
