using McpProxy.Transports.Http;

namespace McpProxy.Auth.SignIn;

/// <summary>Decides when a user may be asked to sign in, so that no client opens pages that nobody wants.</summary>
internal sealed class SignInPolicy(TimeProvider time)
{
    /// <summary>How often the same scopes may be asked for before the server's word is final.</summary>
    private const int MaxStepUps = 2;

    /// <summary>How many sign-ins may begin within <see cref="s_unaskedMemory"/> without a user's action.</summary>
    private const int MaxUnasked = 3;

    private static readonly TimeSpan s_unaskedMemory = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan s_failureMemory = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan s_stepUpMemory = TimeSpan.FromMinutes(10);

    private readonly Lock _gate = new();
    private readonly List<(string Scope, DateTimeOffset At)> _stepUps = [];
    private readonly List<DateTimeOffset> _unasked = [];
    private OAuthException? _failure;
    private DateTimeOffset _failedAt;

    /// <summary>Why the last sign-in did not work; null when it did, or when the reason passes by itself.</summary>
    public OAuthException? Failure
    {
        get
        {
            lock (_gate)
            {
                return _failure;
            }
        }
    }

    /// <summary>Whether a sign-in may begin on an occasion.</summary>
    public bool MayAsk(RequestOccasion occasion)
    {
        lock (_gate)
        {
            // A server that takes no token for long must not have pages opened by what clients ask for by themselves.
            var now = time.GetUtcNow();
            return occasion switch
            {
                RequestOccasion.Background => false,
                RequestOccasion.UserAction => true,
                _ when _unasked.Count(at => now - at < s_unaskedMemory) >= MaxUnasked => false,
                RequestOccasion.Introduction => _failure is null || now - _failedAt >= s_failureMemory,
                _ => _failure is null,
            };
        }
    }

    /// <summary>Whether the user may be asked for these scopes once more; if so it is counted, over all requests.</summary>
    public bool TryStepUp(ScopeSet scope)
    {
        var now = time.GetUtcNow();
        lock (_gate)
        {
            _stepUps.RemoveAll(entry => now - entry.At > s_stepUpMemory);
            if (_stepUps.Count(entry => entry.Scope == scope.ToString()) == MaxStepUps)
            {
                return false;
            }

            _stepUps.Add((scope.ToString(), now));
            return true;
        }
    }

    /// <summary>A sign-in begins.</summary>
    public void Begin(RequestOccasion occasion)
    {
        var now = time.GetUtcNow();
        lock (_gate)
        {
            _failure = null;
            if (occasion != RequestOccasion.UserAction)
            {
                _unasked.RemoveAll(at => now - at >= s_unaskedMemory);
                _unasked.Add(now);
            }
        }
    }

    /// <summary>It did not work.</summary>
    /// <param name="failure">Why.</param>
    /// <param name="wasPrompted">Whether the user saw a page: then they are not shown another by themselves, whatever the reason.</param>
    public void Fail(OAuthException failure, bool wasPrompted)
    {
        lock (_gate)
        {
            _failure = failure.Failure == OAuthFailure.Temporary && !wasPrompted ? null : failure;
            _failedAt = time.GetUtcNow();
        }
    }

    /// <summary>Somebody wants to sign in now, whatever happened before.</summary>
    public void Forget()
    {
        lock (_gate)
        {
            _failure = null;
        }
    }
}
