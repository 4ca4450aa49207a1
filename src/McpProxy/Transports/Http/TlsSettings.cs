using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace McpProxy.Transports.Http;

/// <summary>Makes the TLS settings that the options ask for.</summary>
internal static class TlsSettings
{
    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";

    /// <summary>The settings; those of the system when nothing is asked for.</summary>
    /// <param name="options">What is asked for.</param>
    /// <param name="isCertain">
    /// Whether TLS will be spoken for certain. Then the authorities of files are read now and asked first: the system's are many, and to read them
    /// is most of what a first connection takes.
    /// </param>
    /// <exception cref="ArgumentException">A file cannot be read, or holds no certificate.</exception>
    public static SslClientAuthenticationOptions Of(NetworkOptions options, bool isCertain = false)
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
            tls.CertificateChainPolicy = isCertain ? authorities.FirstPolicy() : null;
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

    /// <summary>
    /// Authorities that are trusted besides those of the system. Whoever is asked first, each verification is a whole one, and a server
    /// is trusted when one of the two says so.
    /// </summary>
    private sealed class Authorities(IReadOnlyList<string> files)
    {
        private readonly Lazy<X509Certificate2Collection> _trusted = new(() => Read(files));
        private bool _areFirst;

        /// <summary>Has the handshake itself ask these authorities; null when they cannot be read, which is only said when they are needed.</summary>
        public X509ChainPolicy? FirstPolicy()
        {
            try
            {
                var policy = Policy(_trusted.Value);

                // For most servers this is not the last word: nothing is fetched for it.
                policy.DisableCertificateDownloads = true;
                _areFirst = true;
                return policy;
            }
            catch (ArgumentException)
            {
                return null;
            }
        }

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

            using var server = new X509Certificate2(certificate);
            return (_areFirst && IsTrusted(server, presented, Policy(null))) || IsTrusted(server, presented, Policy(_trusted.Value));
        }

        /// <param name="trusted">The authorities; null for those of the system.</param>
        private static X509ChainPolicy Policy(X509Certificate2Collection? trusted)
        {
            var policy = new X509ChainPolicy { RevocationMode = X509RevocationMode.NoCheck };
            policy.ApplicationPolicy.Add(new Oid(ServerAuthentication));
            if (trusted is not null)
            {
                policy.TrustMode = X509ChainTrustMode.CustomRootTrust;
                policy.CustomTrustStore.AddRange(trusted);
            }

            return policy;
        }

        private static bool IsTrusted(X509Certificate2 server, X509Chain? presented, X509ChainPolicy policy)
        {
            using var chain = new X509Chain { ChainPolicy = policy };
            if (presented is not null)
            {
                // Also those that the verification before could not place.
                chain.ChainPolicy.ExtraStore.AddRange(presented.ChainPolicy.ExtraStore);
                foreach (var element in presented.ChainElements)
                {
                    chain.ChainPolicy.ExtraStore.Add(element.Certificate);
                }
            }

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
