using System.Security.Claims;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore.Access;

/// <summary>Clients that are known by the certificate of their connection, which the server has checked by then.</summary>
internal static class ClientCertificates
{
    private static readonly object s_key = new();

    /// <summary>Who is at the other end of a request's connection; null when it showed no certificate.</summary>
    public static ClaimsPrincipal? UserOf(HttpContext context)
    {
        // One connection has one certificate: it is looked at once.
        var items = context.Features.Get<IConnectionItemsFeature>()?.Items;
        if (items is not null && items.TryGetValue(s_key, out var known) && known is ClaimsPrincipal user)
        {
            return user;
        }

        if (context.Connection.ClientCertificate is not { } certificate)
        {
            return null;
        }

        user = UserOf(certificate);
        if (items is not null)
        {
            items[s_key] = user;
        }

        return user;
    }

    internal static ClaimsPrincipal UserOf(X509Certificate2 certificate)
    {
        var thumbprint = certificate.GetCertHashString(HashAlgorithmName.SHA256);
        var name = AlternativeName(certificate) ?? certificate.Subject;
        return new(new ClaimsIdentity([new Claim("sub", $"{name}#{thumbprint}"), new Claim(ClaimTypes.Name, name)], "Certificate", ClaimTypes.Name, ClaimTypes.Role));
    }

    private static string? AlternativeName(X509Certificate2 certificate) =>
        certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>().FirstOrDefault()?.EnumerateDnsNames().FirstOrDefault();
}
