using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace McpProxy.Transports.Http.Tls;

/// <summary>Authorities that this user has trusted for .NET programs, such as that of the development certificate.</summary>
internal sealed class PersonalRoots : IRootPlace
{
    public IEnumerable<X509Certificate2> Find(IReadOnlyList<byte[]> names)
    {
        try
        {
            using var store = new X509Store(StoreName.Root, StoreLocation.CurrentUser, OpenFlags.ReadOnly | OpenFlags.OpenExistingOnly);
            return [.. store.Certificates.Where(root => names.Any(name => root.SubjectName.RawData.AsSpan().SequenceEqual(name)))];
        }
        catch (CryptographicException)
        {
            // There is none.
            return [];
        }
    }
}
