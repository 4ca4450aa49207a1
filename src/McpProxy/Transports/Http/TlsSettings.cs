using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace McpProxy.Transports.Http;

/// <summary>Makes the TLS settings that the options ask for.</summary>
internal static class TlsSettings
{
    /// <summary>The settings; those of the system when nothing is asked for.</summary>
    /// <exception cref="ArgumentException">A file cannot be read, or holds no certificate.</exception>
    public static SslClientAuthenticationOptions Of(NetworkOptions options)
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
        }
        else if (options.AuthorityFiles.Count > 0)
        {
            // Read when they are needed; a wrong name is better found at the start.
            var missing = options.AuthorityFiles.FirstOrDefault(name => !File.Exists(name));
            var authorities = missing is null ? new Authorities(options.AuthorityFiles)
                : throw new ArgumentException($"there is no file {missing} to read certificate authorities from", nameof(options));
            tls.RemoteCertificateValidationCallback = (_, certificate, presented, errors) => authorities.Accept(certificate, presented, errors);
        }

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

    /// <summary>Authorities that are trusted besides those of the system. They are asked only where those do not know the server.</summary>
    private sealed class Authorities(IReadOnlyList<string> files)
    {
        private readonly Lazy<X509Certificate2Collection> _trusted = new(() => Read(files));

        public bool Accept(X509Certificate? certificate, X509Chain? presented, SslPolicyErrors errors)
        {
            if (errors == SslPolicyErrors.None)
            {
                return true;
            }

            // A wrong name stays wrong, whoever signed it.
            if (errors != SslPolicyErrors.RemoteCertificateChainErrors || certificate is null)
            {
                return false;
            }

            using var chain = new X509Chain();
            chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
            chain.ChainPolicy.CustomTrustStore.AddRange(_trusted.Value);
            chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
            chain.ChainPolicy.ApplicationPolicy.Add(new Oid("1.3.6.1.5.5.7.3.1"));
            foreach (var element in presented?.ChainElements ?? Enumerable.Empty<X509ChainElement>())
            {
                chain.ChainPolicy.ExtraStore.Add(element.Certificate);
            }

            using var server = new X509Certificate2(certificate);
            return chain.Build(server);
        }

        private static X509Certificate2Collection Read(IReadOnlyList<string> files)
        {
            var trusted = new X509Certificate2Collection();
            foreach (var file in files)
            {
                try
                {
                    trusted.ImportFromPemFile(file);
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
                {
                    throw new ArgumentException($"no certificate authorities can be read from {file}: {e.Message}", nameof(files), e);
                }
            }

            return trusted;
        }
    }
}
