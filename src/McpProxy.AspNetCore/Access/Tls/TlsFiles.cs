namespace McpProxy.AspNetCore.Access.Tls;

/// <summary>The files that TLS is served with, all of them PEM.</summary>
public sealed record TlsFiles
{
    /// <summary>The server's certificate, and what leads from it to an authority that clients trust.</summary>
    public required string CertificateFile { get; init; }

    /// <summary>The certificate's private key; null when it is in the same file.</summary>
    public string? KeyFile { get; init; }

    /// <summary>The password of an encrypted key; null for a key that is not.</summary>
    public string? KeyPassword { get; init; }

    /// <summary>
    /// The authorities of client certificates, which clients must have then (mutual TLS); null: clients are not asked for any. Each is a root: what leads
    /// from it to a client's certificate, the client sends.
    /// </summary>
    public string? ClientAuthorityFile { get; init; }
}
