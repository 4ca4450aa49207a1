using McpProxy.Auth;
using McpProxy.Auth.Discovery;
using Microsoft.Extensions.Logging;

namespace McpProxy.AspNetCore.Access.Tokens;

/// <summary>
/// The keys of one issuer, found by its metadata (RFC 8414, OpenID Connect Discovery 1.0) and kept. An issuer that cannot be reached keeps its old
/// keys, and is asked no more often than its failures and other people's garbage should make us.
/// </summary>
internal sealed partial class IssuerKeys(string issuer, OAuthHttpClient http, TimeProvider time, ILogger logger) : IDisposable
{
    /// <summary>How old keys get before newer ones are fetched while they serve.</summary>
    public static readonly TimeSpan RefreshAge = TimeSpan.FromMinutes(15);

    /// <summary>How old keys get before newer ones are waited for: nobody asked for a long time, and much may have been taken back.</summary>
    public static readonly TimeSpan StaleAge = TimeSpan.FromHours(1);

    /// <summary>The least time between two attempts.</summary>
    public static readonly TimeSpan Pause = TimeSpan.FromSeconds(10);

    private readonly MetadataDiscovery _discovery = new(http, new(issuer), resourceOption: null, logger);
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _gate = new();
    private SigningKeys? _keys;
    private long _fetchedAt;
    private long? _attemptedAt;
    private bool _lastFailed;
    private Task? _fetching;

    /// <summary>The issuer identifier.</summary>
    public string Issuer => issuer;

    /// <summary>The newest keys that are known, without asking anybody.</summary>
    public SigningKeys? Known => Volatile.Read(ref _keys);

    /// <summary>The keys, fetched if they have to be for a token.</summary>
    /// <param name="kid">The id of the key that the token is signed with, if it names one.</param>
    /// <param name="cancellationToken">Stops waiting; a fetch that others wait for goes on.</param>
    public async Task<KeyAnswer> GetAsync(string? kid, CancellationToken cancellationToken)
    {
        Task? wait = null;
        lock (_gate)
        {
            var age = _keys is null ? TimeSpan.MaxValue : time.GetElapsedTime(_fetchedAt);
            var isNeeded = _keys?.Has(kid) != true || age >= StaleAge;
            if ((isNeeded || age >= RefreshAge) && _fetching is null && PauseLeft() == TimeSpan.Zero)
            {
                _attemptedAt = time.GetTimestamp();
                _fetching = Task.Run(FetchAsync, CancellationToken.None);
            }

            wait = isNeeded ? _fetching : null;
        }

        if (wait is not null)
        {
            await wait.WaitAsync(cancellationToken);
        }

        lock (_gate)
        {
            return new(_keys, _keys is not null && !_lastFailed, PauseLeft());
        }
    }

    public void Dispose()
    {
        // What is being fetched sees this and ends by itself.
        _stop.Cancel();
        _stop.Dispose();
    }

    private TimeSpan PauseLeft()
    {
        var left = _attemptedAt is { } at ? Pause - time.GetElapsedTime(at) : TimeSpan.Zero;
        return left > TimeSpan.Zero ? left : TimeSpan.Zero;
    }

    private async Task FetchAsync()
    {
        SigningKeys? found = null;
        try
        {
            found = await FindAsync(_stop.Token);
        }
        catch (OAuthException e)
        {
            LogFailed(issuer, e.Message);
        }
        catch (OperationCanceledException)
        {
            // The server ends.
        }
        catch (Exception e)
        {
            LogDefect(e, issuer);
        }

        lock (_gate)
        {
            _fetching = null;
            _lastFailed = found is null;
            if (found is not null)
            {
                // The same object for the same keys: what was checked with them stays checked.
                _keys = found.IsSameAs(_keys) ? _keys : found;
                _fetchedAt = time.GetTimestamp();
            }
        }
    }

    private async Task<SigningKeys> FindAsync(CancellationToken cancellationToken)
    {
        var server = await _discovery.FindServerAsync(issuer, isImplied: false, cancellationToken);
        var uri = server.JwksUri ?? throw new OAuthException(OAuthFailure.Unusable, "its metadata has no jwks_uri");
        var response = await http.GetAsync(uri, cancellationToken);
        var keys = new SigningKeys((response.IsSuccess ? response.Document?.Objects("keys") : null)
            ?? throw new OAuthException(OAuthFailure.Temporary, $"{uri.GetLeftPart(UriPartial.Path)} answered HTTP {(int)response.Status}, and no key set"));
        return keys.IsEmpty ? throw new OAuthException(OAuthFailure.Unusable, "its key set has no key that signatures can be checked with (RSA or EC)") : keys;
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The keys of {Issuer} cannot be fetched: {Reason}")]
    private partial void LogFailed(string issuer, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "Defect while fetching the keys of {Issuer}")]
    private partial void LogDefect(Exception exception, string issuer);
}
