namespace McpProxy.Auth.Keychain;

/// <summary>The keychain of the operating system did not do what it was asked; the message says why.</summary>
internal sealed class KeychainException(string message) : IOException(message);
