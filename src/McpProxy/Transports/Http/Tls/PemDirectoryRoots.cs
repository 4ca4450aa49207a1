using System.Security.Cryptography.X509Certificates;

namespace McpProxy.Transports.Http.Tls;

/// <summary>Authorities in the files of a directory.</summary>
internal sealed class PemDirectoryRoots(string directory) : IRootPlace
{
    public IEnumerable<X509Certificate2> Find(IReadOnlyList<byte[]> names)
    {
        string[] files;
        try
        {
            files = Directory.GetFiles(directory);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }

        // The same authority is there under its name and under the hash of it.
        return files.SelectMany(file => new PemFileRoots(file, isOptional: true).Find(names)).Distinct();
    }
}
