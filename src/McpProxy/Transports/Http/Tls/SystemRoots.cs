namespace McpProxy.Transports.Http.Tls;

/// <summary>
/// The certificate authorities that a Linux system trusts. There are some 150 of them, and a server needs one: it is looked up by
/// its name, and the others are not parsed.
/// </summary>
internal sealed class SystemRoots
{
    /// <summary>Where distributions keep all authorities in one file: Debian, Alpine; Fedora; openSUSE; older Fedora; RHEL 7; BSD-like.</summary>
    private static readonly string[] s_files =
    [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/pki/tls/cacert.pem",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ];

    /// <summary>Where they keep one file for each.</summary>
    private static readonly string[] s_directories = ["/etc/ssl/certs", "/etc/pki/tls/certs", "/usr/lib/ssl/certs"];

    /// <param name="files">Files with many authorities; those that do not exist are passed over.</param>
    /// <param name="directories">Directories with files of authorities, which are read when the files do not help.</param>
    public SystemRoots(IEnumerable<string> files, IEnumerable<string> directories)
    {
        Places =
        [
            .. files.Select(file => (IRootPlace)new PemFileRoots(file, isOptional: true)),
            .. directories.Select(directory => (IRootPlace)new PemDirectoryRoots(directory)),
            new PersonalRoots(),
        ];
    }

    /// <summary>Where to look, in this order.</summary>
    public IReadOnlyList<IRootPlace> Places { get; }

    /// <summary>Those of this machine, or those that <c>SSL_CERT_FILE</c> and <c>SSL_CERT_DIR</c> name in their place, as OpenSSL reads them.</summary>
    public static SystemRoots OfThisMachine() => new(
        Environment.GetEnvironmentVariable("SSL_CERT_FILE") is { Length: > 0 } file ? [file] : s_files.Where(File.Exists).Take(1),
        Environment.GetEnvironmentVariable("SSL_CERT_DIR") is { Length: > 0 } directories ? directories.Split(':', StringSplitOptions.RemoveEmptyEntries) : s_directories);
}
