namespace McpProxy.Auth;

/// <summary>Scopes in the order in which they came, each once (RFC 6749 section 3.3).</summary>
internal sealed class ScopeSet
{
    private readonly string[] _scopes;

    private ScopeSet(IEnumerable<string> scopes) => _scopes = [.. scopes.Distinct(StringComparer.Ordinal)];

    /// <summary>No scope: the authorization server chooses.</summary>
    public static ScopeSet None { get; } = new([]);

    public bool IsEmpty => _scopes.Length == 0;

    /// <summary>The scopes of a list.</summary>
    public static ScopeSet Of(IEnumerable<string> scopes) => new(scopes);

    /// <summary>The scopes of a text with spaces between them.</summary>
    public static ScopeSet Parse(string? text) => string.IsNullOrWhiteSpace(text) ? None : new(text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));

    public bool Contains(string scope) => _scopes.Contains(scope, StringComparer.Ordinal);

    /// <summary>Whether every scope of another set is in this one.</summary>
    public bool Covers(ScopeSet other) => other._scopes.All(Contains);

    /// <summary>These scopes and those of another set.</summary>
    public ScopeSet Union(ScopeSet other) => new(_scopes.Concat(other._scopes));

    /// <summary>The text for a request; null when there is no scope, so that the parameter is left out.</summary>
    public string? ToParameter() => IsEmpty ? null : string.Join(' ', _scopes);

    public override string ToString() => ToParameter() ?? "";
}
