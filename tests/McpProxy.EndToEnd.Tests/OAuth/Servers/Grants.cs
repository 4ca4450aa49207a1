using System.Globalization;
using System.Security.Cryptography;

namespace McpProxy.EndToEnd.Tests.OAuth.Servers;

/// <summary>What a user, or a client for itself, has allowed.</summary>
public sealed record Grant(string ClientId, string Account, IReadOnlyList<string> Scopes, string? Resource)
{
    public bool IsRevoked { get; set; }
}

/// <summary>What an authorization code stands for.</summary>
internal sealed record PendingCode(Grant Grant, string RedirectUri, string? Challenge);

/// <summary>The codes and tokens of an authorization server: opaque words that it looks up.</summary>
internal sealed class Grants
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, PendingCode> _codes = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Grant> _access = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _keys = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Grant> _refresh = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Grant> _spent = new(StringComparer.Ordinal);
    private readonly List<Grant> _all = [];
    private readonly List<string> _secrets = [];
    private int _last;

    /// <summary>How often a refresh token came that had been exchanged for another one already.</summary>
    public int Reuses { get; private set; }

    /// <summary>Everything that nobody but the client should ever see.</summary>
    public IReadOnlyList<string> Secrets
    {
        get
        {
            lock (_gate)
            {
                return [.. _secrets];
            }
        }
    }

    /// <summary>Makes a word up that nobody can guess.</summary>
    public string NewSecret(string kind)
    {
        lock (_gate)
        {
            return Made(kind);
        }
    }

    public void Keep(string secret)
    {
        lock (_gate)
        {
            _secrets.Add(secret);
        }
    }

    public string AddCode(PendingCode pending)
    {
        lock (_gate)
        {
            var code = Made("code");
            _codes[code] = pending;
            return code;
        }
    }

    public PendingCode? TakeCode(string? code)
    {
        lock (_gate)
        {
            return code is not null && _codes.Remove(code, out var pending) ? pending : null;
        }
    }

    /// <summary>Issues tokens.</summary>
    /// <param name="grant">What for.</param>
    /// <param name="withRefresh">Whether they can be renewed.</param>
    /// <param name="key">The thumbprint of the key that they are bound to, if to any.</param>
    /// <param name="text">The access token; null to make a word up.</param>
    public (string Access, string? Refresh) Issue(Grant grant, bool withRefresh, string? key = null, string? text = null)
    {
        lock (_gate)
        {
            if (!_all.Contains(grant))
            {
                _all.Add(grant);
            }

            var access = text ?? Made("access");
            if (text is not null)
            {
                _secrets.Add(text);
            }

            _access[access] = grant;
            if (key is not null)
            {
                _keys[access] = key;
            }

            if (!withRefresh)
            {
                return (access, null);
            }

            var refresh = Made("refresh");
            _refresh[refresh] = grant;
            return (access, refresh);
        }
    }

    /// <summary>The grant that a refresh token belongs to.</summary>
    /// <param name="token">The token.</param>
    /// <param name="spend">Whether it is good for one time only. Whoever brings a spent one loses the grant, as one of two must be a thief.</param>
    public Grant? Redeem(string? token, bool spend)
    {
        lock (_gate)
        {
            if (token is not null && _spent.TryGetValue(token, out var stolen))
            {
                Reuses++;
                stolen.IsRevoked = true;
                return null;
            }

            if (token is null || !_refresh.TryGetValue(token, out var grant) || grant.IsRevoked)
            {
                return null;
            }

            if (spend)
            {
                _refresh.Remove(token);
                _spent[token] = grant;
            }

            return grant;
        }
    }

    /// <summary>What an access token is good for; null when for nothing.</summary>
    public Grant? Find(string? accessToken)
    {
        lock (_gate)
        {
            return accessToken is not null && _access.TryGetValue(accessToken, out var grant) && !grant.IsRevoked ? grant : null;
        }
    }

    /// <summary>The thumbprint of the key that an access token is bound to.</summary>
    public string? KeyOf(string accessToken)
    {
        lock (_gate)
        {
            return _keys.GetValueOrDefault(accessToken);
        }
    }

    public void ExpireAccessTokens()
    {
        lock (_gate)
        {
            _access.Clear();
        }
    }

    public void RevokeAll()
    {
        lock (_gate)
        {
            _all.ForEach(grant => grant.IsRevoked = true);
        }
    }

    /// <summary>Revokes what a token belongs to (RFC 7009).</summary>
    public void Revoke(string? token)
    {
        lock (_gate)
        {
            if (token is not null && (_access.GetValueOrDefault(token) ?? _refresh.GetValueOrDefault(token)) is { } grant)
            {
                grant.IsRevoked = true;
            }
        }
    }

    private string Made(string kind)
    {
        var made = string.Create(CultureInfo.InvariantCulture, $"{kind}-{++_last}-{RandomNumberGenerator.GetHexString(16)}");
        _secrets.Add(made);
        return made;
    }
}
