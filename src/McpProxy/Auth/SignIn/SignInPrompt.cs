namespace McpProxy.Auth.SignIn;

/// <summary>What the user has to do to sign in.</summary>
/// <param name="Server">The server's origin.</param>
/// <param name="Url">The page to open.</param>
/// <param name="UserCode">The code to type in there; null when the URL is enough.</param>
internal sealed record SignInPrompt(string Server, Uri Url, string? UserCode)
{
    /// <summary>The same, for a person to read.</summary>
    public string Text => UserCode is null
        ? $"{Server} needs a sign-in. Open this page in a browser: {Url.AbsoluteUri}"
        : $"{Server} needs a sign-in. Open this page in a browser and enter the code {UserCode}: {Url.AbsoluteUri}";
}
