namespace McpProxy.Auth.SignIn;

/// <summary>Shows the user a page.</summary>
internal interface IBrowser
{
    /// <summary>Opens a page.</summary>
    /// <returns>Null, or why it could not be opened.</returns>
    Task<string?> OpenAsync(Uri url, CancellationToken cancellationToken);
}
