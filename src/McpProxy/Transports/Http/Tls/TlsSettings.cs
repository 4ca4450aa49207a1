using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace McpProxy.Transports.Http.Tls;

/// <summary>Makes the TLS settings that the options ask for.</summary>
internal static class TlsSettings
{
    /// <summary>The settings; those of the system when nothing is asked for.</summary>
    /// <exception cref="ArgumentException">A file cannot be read, or holds no certificate.</exception>
    public static SslClientAuthenticationOptions Of(NetworkOptions options) => Of(options, OperatingSystem.IsLinux() ? SystemRoots.OfThisMachine() : null);

    /// <param name="options">What is asked for.</param>
    /// <param name="roots">Where the system's authorities are looked up; null to leave that to the platform.</param>
    internal static SslClientAuthenticationOptions Of(NetworkOptions options, SystemRoots? roots)
    {
        var tls = new SslClientAuthenticationOptions();
        if (options.ClientCertificateFile is { } file)
        {
            tls.ClientCertificates = [ReadClientCertificate(file, options.ClientKeyFile)];
        }

        if (options.Insecure)
        {
#pragma warning disable CA5359 // Asked for in so many words, and warned of at each start.
            tls.RemoteCertificateValidationCallback = static (_, _, _, _) => true;
#pragma warning restore CA5359
            return tls;
        }

        // Read when they are needed; a wrong name is better found at the start.
        if (options.AuthorityFiles.FirstOrDefault(name => !File.Exists(name)) is { } missing)
        {
            throw new ArgumentException($"there is no file {missing} to read certificate authorities from", nameof(options));
        }

        if (roots is null && options.AuthorityFiles.Count == 0)
        {
            return tls;
        }

        if (roots is not null)
        {
            // The platform would read every authority that the system has before it looks at the server's certificate. Nothing here may
            // need OpenSSL yet: settings are made where there may never be a connection.
            tls.CertificateChainPolicy = new() { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck, DisableCertificateDownloads = true };
        }

        var trust = new ServerTrust(options.AuthorityFiles, roots);
        tls.RemoteCertificateValidationCallback = (_, certificate, presented, errors) => trust.Accept(certificate, presented, errors);
        return tls;
    }

    private static X509Certificate2 ReadClientCertificate(string file, string? keyFile)
    {
        try
        {
            using var certificate = X509Certificate2.CreateFromPemFile(file, keyFile ?? file);

            // Windows cannot use a key that is in memory only.
            return X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), password: null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException or ArgumentException)
        {
            throw new ArgumentException($"the client certificate cannot be read from {file}: {e.Message}", nameof(file), e);
        }
    }
}
