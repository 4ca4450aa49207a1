using System.Text;

namespace McpProxy.Auth.Store;

/// <summary>Whose sign-in it is: the server as the user named it, the resource asked for, the account.</summary>
/// <param name="Server">The URL, as typed.</param>
/// <param name="Resource">The <c>resource</c> option: null when not given, empty for none.</param>
/// <param name="Profile">The account, or null.</param>
internal sealed record StoreKey(string Server, string? Resource, string? Profile)
{
    private const int MaxReadable = 60;

    /// <summary>The name of its files: readable, and different for different keys. What is in the files decides, so no secure hash is needed.</summary>
    public string FileName => Name(Server, Resource, Profile);

    /// <summary>A number that stays the same for the key.</summary>
    public uint Number => (uint)Hash($"{Server}\n{Resource ?? "\0"}\n{Profile ?? "\0"}");

    private static string Name(string server, string? resource, string? profile)
    {
        var host = Uri.TryCreate(server, UriKind.Absolute, out var uri) ? uri.Authority : "server";
        var readable = new StringBuilder();
        foreach (var c in profile is null ? host : $"{host}-{profile}")
        {
            readable.Append(char.IsAsciiLetterOrDigit(c) || c is '.' or '-' ? char.ToLowerInvariant(c) : '_');
        }

        readable.Length = Math.Min(readable.Length, MaxReadable);
        return $"{readable}-{Hash($"{server}\n{resource ?? "\0"}\n{profile ?? "\0"}"):x16}";
    }

    /// <summary>FNV-1a: a secure hash would load a cryptographic library at every start.</summary>
    private static ulong Hash(string text)
    {
        var hash = 14695981039346656037UL;
        foreach (var b in Encoding.UTF8.GetBytes(text))
        {
            hash = (hash ^ b) * 1099511628211UL;
        }

        return hash;
    }
}
