using System.Security.Cryptography.X509Certificates;

namespace McpProxy.Transports.Http.Tls;

/// <summary>A place where a system keeps certificate authorities that it trusts.</summary>
internal interface IRootPlace
{
    /// <summary>The authorities of these names.</summary>
    /// <param name="names">Distinguished names, in DER.</param>
    /// <exception cref="System.Security.Authentication.AuthenticationException">What the user has named cannot be read.</exception>
    public IEnumerable<X509Certificate2> Find(IReadOnlyList<byte[]> names);
}
