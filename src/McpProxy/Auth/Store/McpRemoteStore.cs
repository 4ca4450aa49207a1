using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Logging;

namespace McpProxy.Auth.Store;

/// <summary>Reads what mcp-remote has stored, so that its users need not sign in again. Nothing there is changed.</summary>
internal sealed partial class McpRemoteStore(string root, ILogger logger)
{
    /// <summary>The sign-in to a server; null when there is none.</summary>
    /// <param name="options">The options, whose counterparts are part of that program's key.</param>
    /// <param name="server">The URL, as typed.</param>
    public ForeignSignIn? Find(OAuthOptions options, string server)
    {
        if (options.Profile is not null || !Directory.Exists(root))
        {
            return null;
        }

        var hash = HashOf(options, server);
        foreach (var folder in Folders())
        {
            var tokens = Path.Combine(folder, $"{hash}_tokens.json");
            if (Read(tokens) is { } document && document.String("access_token") is { Length: > 0 } accessToken)
            {
                var client = Client(Read(Path.Combine(folder, $"{hash}_client_info.json")));
                return new(Tokens(document, accessToken, client?.ClientId ?? options.Client?.Id ?? "", File.GetLastWriteTimeUtc(tokens)), client);
            }
        }

        return null;
    }

    /// <summary>The name that mcp-remote gives the files of a server.</summary>
    internal static string HashOf(OAuthOptions options, string server)
    {
        List<string> parts = [server];
        if (!string.IsNullOrEmpty(options.Resource))
        {
            parts.Add(options.Resource);
        }

        AddObject(parts, options.AuthorizeParameters);
        AddObject(parts, options.HeadersAsTyped);
        if (options.ClientMetadataUrl is { } url)
        {
            parts.Add(url.OriginalString);
        }

        if (options.TokenEndpoint is { } endpoint)
        {
            parts.Add(endpoint.OriginalString);
        }

#pragma warning disable CA5351 // The name of a file, chosen by another program.
        return Convert.ToHexStringLower(MD5.HashData(Encoding.UTF8.GetBytes(string.Join('|', parts))));
#pragma warning restore CA5351
    }

    private static void AddObject(List<string> parts, IReadOnlyList<KeyValuePair<string, string>> members)
    {
        if (members.Count > 0)
        {
            // The last of equal names counts, as in the object that the other program makes of them.
            var unique = members.GroupBy(member => member.Key, StringComparer.Ordinal).OrderBy(group => group.Key, StringComparer.Ordinal);
            parts.Add($"{{{string.Join(',', unique.Select(group => $"{Quote(group.Key)}:{Quote(group.Last().Value)}"))}}}");
        }
    }

    /// <summary>A string as JavaScript writes it in JSON.</summary>
    private static string Quote(string text)
    {
        var result = new StringBuilder("\"");
        for (var i = 0; i < text.Length; i++)
        {
            var c = text[i];
            var isPaired = char.IsHighSurrogate(c) ? i + 1 < text.Length && char.IsLowSurrogate(text[i + 1]) : char.IsLowSurrogate(c) && i > 0 && char.IsHighSurrogate(text[i - 1]);
            result.Append(c switch
            {
                '"' => "\\\"",
                '\\' => "\\\\",
                '\b' => "\\b",
                '\f' => "\\f",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                < ' ' => $"\\u{(int)c:x4}",
                _ when char.IsSurrogate(c) && !isPaired => $"\\u{(int)c:x4}",
                _ => c.ToString(),
            });
        }

        return result.Append('"').ToString();
    }

    /// <summary>The folders of its releases: the one without a version first, then the newest.</summary>
    private List<string> Folders()
    {
        try
        {
            return [.. Directory.EnumerateDirectories(root, "mcp-remote-*")
                .Select(path => (Path: path, Name: Path.GetFileName(path)["mcp-remote-".Length..]))
                .OrderByDescending(folder => folder.Name == "v1")
                .ThenByDescending(folder => Version.TryParse(folder.Name.Split('-')[0], out var version) ? version : new Version(0, 0))
                .Select(folder => folder.Path)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            LogUnreadable(root, e.Message);
            return [];
        }
    }

    private static StoredTokens Tokens(OAuthDocument document, string accessToken, string clientId, DateTime written)
    {
        var obtained = new DateTimeOffset(written).ToUnixTimeMilliseconds();
        return new()
        {
            AccessToken = accessToken,
            RefreshToken = document.String("refresh_token"),
            Scope = document.String("scope"),
            ClientId = clientId,
            ObtainedAt = obtained,
            ExpiresAt = document.Number("expires_at") ?? (document.Number("expires_in") is { } seconds ? obtained + (seconds * 1000) : null),
        };
    }

    private static StoredClient? Client(OAuthDocument? document) => document?.String("client_id") is not { Length: > 0 } id ? null : new()
    {
        ClientId = id,
        ClientSecret = document.String("client_secret"),
        TokenEndpointAuthMethod = document.String("token_endpoint_auth_method"),
        RedirectUris = [.. document.Strings("redirect_uris") ?? []],
        ClientSecretExpiresAt = document.Number("client_secret_expires_at") is > 0 and var end ? end : null,
    };

    private OAuthDocument? Read(string path)
    {
        try
        {
            if (!File.Exists(path))
            {
                return null;
            }

            var document = OAuthDocument.TryParse(File.ReadAllBytes(path));
            if (document is null)
            {
                LogUnreadable(path, "it is no JSON object");
            }

            return document;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            LogUnreadable(path, e.Message);
            return null;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Path}, which mcp-remote has stored, cannot be read: {Reason}")]
    private partial void LogUnreadable(string path, string reason);
}
