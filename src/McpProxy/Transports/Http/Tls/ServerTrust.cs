using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace McpProxy.Transports.Http.Tls;

/// <summary>
/// Whether a server's certificate is trusted: by the authorities of the user's files, and by those of the system, which are
/// looked up by the names that the certificates give for their issuers. What is found is verified as the platform does it.
/// </summary>
/// <param name="files">PEM files with authorities that are trusted besides those of the system.</param>
/// <param name="roots">The system's authorities; null where the platform has asked them already.</param>
internal sealed class ServerTrust(IReadOnlyList<string> files, SystemRoots? roots)
{
    private const string Unknown = "its certificate is signed by no authority that is trusted";

    private readonly IReadOnlyList<IRootPlace> _places = [.. files.Select(file => new PemFileRoots(file)), .. roots?.Places ?? []];

    /// <summary>What TLS asks about the certificate of a server.</summary>
    /// <exception cref="AuthenticationException">It is not trusted, and why.</exception>
    public bool Accept(X509Certificate? certificate, X509Chain? presented, SslPolicyErrors errors)
    {
        if (errors == SslPolicyErrors.None)
        {
            return true;
        }

        if (certificate is null || errors.HasFlag(SslPolicyErrors.RemoteCertificateNotAvailable))
        {
            throw new AuthenticationException("it showed no certificate");
        }

        // A wrong name stays wrong, whoever signed it.
        if (errors.HasFlag(SslPolicyErrors.RemoteCertificateNameMismatch))
        {
            throw new AuthenticationException("its certificate is for another name");
        }

        using var server = new X509Certificate2(certificate);
        X509Certificate2Collection shown = [.. presented?.ChainElements.Select(element => element.Certificate) ?? [], .. presented?.ChainPolicy.ExtraStore ?? []];
        var problem = Unknown;
        return IsTrusted(server, shown, ref problem) ? true : throw new AuthenticationException(problem);
    }

    private bool IsTrusted(X509Certificate2 server, X509Certificate2Collection shown, ref string problem)
    {
        X509Certificate2Collection trusted = [];
        IReadOnlyList<X509Certificate2> seen = [server, .. shown];

        // Intermediate certificates that the server should have sent are downloaded only when nothing on this machine helps.
        foreach (var mayDownload in (bool[])[false, true])
        {
            if (mayDownload && Builds(server, shown, trusted, mayDownload, ref seen, ref problem))
            {
                return true;
            }

            foreach (var place in _places)
            {
                // An intermediate certificate that was found there has an issuer too.
                while (place.Find([.. seen.Select(one => one.IssuerName.RawData)]).Except(trusted).ToArray() is { Length: > 0 } found)
                {
                    trusted.AddRange(found);
                    if (Builds(server, shown, trusted, mayDownload, ref seen, ref problem))
                    {
                        return true;
                    }
                }
            }
        }

        return false;
    }

    /// <summary>How a server's chain is verified against authorities: that they are trusted, valid now, and allow it to be a server.</summary>
    private static X509ChainPolicy Policy(X509Certificate2Collection trusted)
    {
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.AddRange(trusted);
        policy.ApplicationPolicy.Add(new Oid("1.3.6.1.5.5.7.3.1"));
        return policy;
    }

    private static bool Builds(
        X509Certificate2 server,
        X509Certificate2Collection shown,
        X509Certificate2Collection trusted,
        bool mayDownload,
        ref IReadOnlyList<X509Certificate2> seen,
        ref string problem)
    {
        using var chain = new X509Chain { ChainPolicy = Policy(trusted) };
        chain.ChainPolicy.DisableCertificateDownloads = !mayDownload;
        chain.ChainPolicy.ExtraStore.AddRange(shown);
        var builds = chain.Build(server);
        seen = [.. chain.ChainElements.Select(element => element.Certificate), .. shown];
        if (!builds && chain.ChainStatus is [var status, ..])
        {
            problem = status.Status is X509ChainStatusFlags.UntrustedRoot or X509ChainStatusFlags.PartialChain ? Unknown : $"its certificate is not valid: {status.StatusInformation.Trim()}";
        }

        return builds;
    }
}
