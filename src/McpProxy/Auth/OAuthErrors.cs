namespace McpProxy.Auth;

/// <summary>What an error response says (RFC 6749 section 5.2), fit for a person.</summary>
internal static class OAuthErrors
{
    private const int MaxText = 300;

    /// <summary>The code and the description; null when the document is no error.</summary>
    public static string? Describe(OAuthDocument? document) =>
        document?.String("error") is { } code ? Describe(code, document.String("error_description")) : null;

    /// <summary>The same of a redirect's parameters. What a stranger wrote is shown short, on one line, without control characters.</summary>
    public static string Describe(string code, string? description)
    {
        var text = description is null or "" ? code : $"{code}: {description}";
        return string.Concat(text.Select(c => char.IsControl(c) ? ' ' : c).Take(MaxText));
    }
}
