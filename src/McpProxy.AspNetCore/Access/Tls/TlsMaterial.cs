using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace McpProxy.AspNetCore.Access.Tls;

/// <summary>What the files of TLS held at one time.</summary>
internal sealed class TlsMaterial
{
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";

    private readonly SslStreamCertificateContext _certificate;
    private readonly X509Certificate2Collection? _authorities;

    private TlsMaterial(byte[] fingerprint, X509Certificate2 certificate, X509Certificate2Collection chain, X509Certificate2Collection? authorities)
    {
        Fingerprint = fingerprint;
        NotAfter = certificate.NotAfter.ToUniversalTime();
        _certificate = SslStreamCertificateContext.Create(certificate, chain, offline: true);
        _authorities = authorities;
    }

    /// <summary>The hash of all files.</summary>
    public byte[] Fingerprint { get; }

    /// <summary>When the certificate expires.</summary>
    public DateTime NotAfter { get; }

    /// <summary>The hash of all files as they are now; whatever of them cannot be read counts as empty.</summary>
    public static byte[] FingerprintOf(TlsFiles files)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var file in ((string?[])[files.CertificateFile, files.KeyFile, files.ClientAuthorityFile]).OfType<string>())
        {
            try
            {
                hash.AppendData(SHA256.HashData(File.ReadAllBytes(file)));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                hash.AppendData(Encoding.UTF8.GetBytes(file));
            }
        }

        return hash.GetHashAndReset();
    }

    /// <summary>Reads the files.</summary>
    /// <exception cref="ArgumentException">One cannot be read, or they do not go together; the message says which and why.</exception>
    public static TlsMaterial Read(TlsFiles files)
    {
        // Before the rest: if a file changes in between, the next look at the fingerprint sees it.
        var fingerprint = FingerprintOf(files);
        var (certificate, chain) = ReadCertificate(files);
        return new(fingerprint, certificate, chain, files.ClientAuthorityFile is { } file ? ReadAuthorities(file) : null);
    }

    /// <summary>How a connection is made.</summary>
    /// <param name="refused">Told why a client's certificate is refused.</param>
    public SslServerAuthenticationOptions For(Action<string> refused)
    {
        var options = new SslServerAuthenticationOptions
        {
            ServerCertificateContext = _certificate,
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
            AllowRenegotiation = false,
        };
        if (_authorities is { } authorities)
        {
            options.ClientCertificateRequired = true;

            // A resumed connection would go by what was checked before the authorities changed.
            options.AllowTlsResume = false;
            options.RemoteCertificateValidationCallback = (_, presented, built, _) =>
            {
                var problem = Problem(presented, built, authorities);
                if (problem is not null)
                {
                    refused(problem);
                }

                return problem is null;
            };
        }

        return options;
    }

    private static (X509Certificate2 Certificate, X509Certificate2Collection Chain) ReadCertificate(TlsFiles files)
    {
        var pem = ReadText(files.CertificateFile);
        var keyPem = files.KeyFile is { } keyFile ? ReadText(keyFile) : pem;
        try
        {
            using var read = files.KeyPassword is { } password ? X509Certificate2.CreateFromEncryptedPem(pem, keyPem, password) : X509Certificate2.CreateFromPem(pem, keyPem);
            var chain = new X509Certificate2Collection();
            chain.ImportFromPem(pem);
            chain.RemoveAt(0);

            // Windows cannot use a key that is in memory only.
            return (X509CertificateLoader.LoadPkcs12(read.Export(X509ContentType.Pkcs12), password: null), chain);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new ArgumentException(Explain(files, pem, keyPem, e), nameof(files), e);
        }
    }

    private static string Explain(TlsFiles files, string pem, string keyPem, Exception e)
    {
        var key = files.KeyFile ?? files.CertificateFile;
        return !pem.Contains("-----BEGIN CERTIFICATE-----", StringComparison.Ordinal) ? $"there is no certificate in {files.CertificateFile} (it must be PEM)"
            : !keyPem.Contains("PRIVATE KEY-----", StringComparison.Ordinal) ? $"there is no private key in {key} (it must be PEM)"
            : files.KeyPassword is null && keyPem.Contains("ENCRYPTED", StringComparison.Ordinal) ? $"the private key in {key} is encrypted, and there is no password for it"
            : files.KeyPassword is not null ? $"the private key in {key} cannot be read with the password that was given: {e.Message}"
            : $"the certificate in {files.CertificateFile} and the private key in {key} cannot be used together: {e.Message}";
    }

    private static X509Certificate2Collection ReadAuthorities(string file)
    {
        var authorities = new X509Certificate2Collection();
        try
        {
            authorities.ImportFromPem(ReadText(file));
        }
        catch (CryptographicException e)
        {
            throw new ArgumentException($"no certificate authority can be read from {file}: {e.Message}", nameof(file), e);
        }

        return authorities.Count > 0 ? authorities : throw new ArgumentException($"there is no certificate authority in {file} (it must be PEM)", nameof(file));
    }

    private static string ReadText(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ArgumentException($"{file} cannot be read: {e.Message}", nameof(file), e);
        }
    }

    /// <summary>Why a certificate is none of a client, by these authorities and no others; null when it is one.</summary>
    private static string? Problem(X509Certificate? presented, X509Chain? built, X509Certificate2Collection authorities)
    {
        if (presented is null)
        {
            return "it has none";
        }

        using var chain = new X509Chain();
        var policy = chain.ChainPolicy;
        policy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        policy.CustomTrustStore.AddRange(authorities);
        policy.RevocationMode = X509RevocationMode.NoCheck;
        policy.DisableCertificateDownloads = true;
        policy.ApplicationPolicy.Add(new Oid(ClientAuthentication));
        foreach (var element in built?.ChainPolicy.ExtraStore ?? [])
        {
            policy.ExtraStore.Add(element);
        }

        using var certificate = new X509Certificate2(presented);
        return chain.Build(certificate) ? null : $"it is not good for a client here: {string.Join(", ", chain.ChainStatus.Select(status => status.Status).Distinct())}";
    }
}
