namespace McpProxy.Transports.Http;

/// <summary>
/// How connections are made. Proxies come from the environment (<c>HTTPS_PROXY</c>, <c>HTTP_PROXY</c>, <c>ALL_PROXY</c>,
/// <c>NO_PROXY</c>); what runs on this machine is always reached directly.
/// </summary>
public sealed class NetworkOptions
{
    /// <summary>PEM files with certificate authorities that are trusted besides those of the system.</summary>
    public IReadOnlyList<string> AuthorityFiles { get; init; } = [];

    /// <summary>A PEM file with the client's certificate, for mutual TLS; null for none.</summary>
    public string? ClientCertificateFile { get; init; }

    /// <summary>A PEM file with the key of the certificate; null when it is in the same file.</summary>
    public string? ClientKeyFile { get; init; }

    /// <summary>Whether certificates are not checked at all. Only for a laboratory. Default: false.</summary>
    public bool Insecure { get; init; }
}
