namespace McpProxy.Auth.Store;

/// <summary>A sign-in found in another program's store.</summary>
internal sealed record ForeignSignIn(StoredTokens Tokens, StoredClient? Client);
