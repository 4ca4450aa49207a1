using System.Net.Http.Headers;

namespace McpProxy.Auth;

/// <summary>One challenge of a <c>WWW-Authenticate</c> header (RFC 9110 section 11.6.1; its OAuth parameters: RFC 6750 section 3, RFC 9728 section 5.1).</summary>
internal sealed record AuthenticationChallenge(string Scheme)
{
    private readonly Dictionary<string, string> _parameters = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>Whether OAuth access tokens answer it.</summary>
    public bool IsOAuth => IsScheme("Bearer") || IsDpop;

    /// <summary>Whether tokens must be bound to a key of the client (RFC 9449).</summary>
    public bool IsDpop => IsScheme("DPoP");

    /// <summary>The error code, such as <c>invalid_token</c> or <c>insufficient_scope</c>; null when there is none.</summary>
    public string? Error => Parameter("error");

    /// <summary>Where the protected resource metadata is; null when the challenge does not say.</summary>
    public string? ResourceMetadata => Parameter("resource_metadata");

    /// <summary>The scopes that the request needs; none when the challenge does not say.</summary>
    public ScopeSet Scope => ScopeSet.Parse(Parameter("scope"));

    /// <summary>A parameter's value, or null.</summary>
    public string? Parameter(string name) => _parameters.GetValueOrDefault(name);

    /// <summary>What it says about a refused token, for a person; null when it says nothing.</summary>
    public string? Describe() => Error is not { } error ? null
        : OAuthErrors.Describe(error, string.Join("; ", ((string?[])[Parameter("error_description"), Scope.IsEmpty ? null : $"it takes the scope {Scope}"]).OfType<string>()));

    /// <summary>All challenges of a response, in order. What cannot be read ends the reading of its header field.</summary>
    public static IReadOnlyList<AuthenticationChallenge> Of(HttpResponseHeaders headers)
    {
        var challenges = new List<AuthenticationChallenge>();
        if (headers.NonValidated.TryGetValues("WWW-Authenticate", out var fields))
        {
            foreach (var field in fields)
            {
                Read(field, challenges);
            }
        }

        return challenges;
    }

    private static void Read(string field, List<AuthenticationChallenge> challenges)
    {
        var at = 0;
        AuthenticationChallenge? current = null;
        while (true)
        {
            SkipSeparators(field, ref at);
            var word = Token(field, ref at);
            if (word.Length == 0)
            {
                return;
            }

            var afterWord = at;
            SkipSpace(field, ref at);
            if (current is not null && at < field.Length && field[at] == '=' && Value(field, ref at) is { } value)
            {
                // Of equal parameters the first counts: a later one must not override it.
                current._parameters.TryAdd(word, value);
                continue;
            }

            at = afterWord;
            current = new(word);
            challenges.Add(current);
            SkipToken68(field, ref at);
        }
    }

    /// <summary>Reads <c>= value</c>; null when what follows is no value but the padding of a token68.</summary>
    private static string? Value(string field, ref int at)
    {
        at++;
        SkipSpace(field, ref at);
        if (at == field.Length || field[at] != '"')
        {
            var token = Token(field, ref at);
            return token.Length == 0 ? null : token;
        }

        var text = new System.Text.StringBuilder();
        for (at++; at < field.Length && field[at] != '"'; at++)
        {
            if (field[at] == '\\' && at + 1 < field.Length)
            {
                at++;
            }

            text.Append(field[at]);
        }

        at = Math.Min(at + 1, field.Length);
        return text.ToString();
    }

    /// <summary>Skips the credentials-like word that may follow a scheme in place of parameters.</summary>
    private static void SkipToken68(string field, ref int at)
    {
        var start = at;
        SkipSpace(field, ref at);
        var end = at;
        while (end < field.Length && (char.IsAsciiLetterOrDigit(field[end]) || field[end] is '-' or '.' or '_' or '~' or '+' or '/'))
        {
            end++;
        }

        while (end < field.Length && field[end] == '=')
        {
            end++;
        }

        var after = end;
        SkipSpace(field, ref after);
        at = end > at && (after == field.Length || (field[after] == ',' && field[end - 1] == '=')) ? end : start;
    }

    private static string Token(string field, ref int at)
    {
        var start = at;
        while (at < field.Length && (char.IsAsciiLetterOrDigit(field[at]) || "!#$%&'*+-.^_`|~:/".Contains(field[at], StringComparison.Ordinal)))
        {
            at++;
        }

        return field[start..at];
    }

    private static void SkipSpace(string field, ref int at)
    {
        while (at < field.Length && field[at] is ' ' or '\t')
        {
            at++;
        }
    }

    private static void SkipSeparators(string field, ref int at)
    {
        while (at < field.Length && field[at] is ' ' or '\t' or ',')
        {
            at++;
        }
    }

    private bool IsScheme(string scheme) => string.Equals(Scheme, scheme, StringComparison.OrdinalIgnoreCase);
}
