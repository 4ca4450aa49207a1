using System.Net;
using System.Security.Cryptography;
using System.Text;
using McpProxy.Auth.Store;

namespace McpProxy.Auth.SignIn;

/// <summary>What the browser brought back (RFC 6749 section 4.1.2), checked. One of the three is set.</summary>
/// <param name="Code">The authorization code.</param>
/// <param name="Failure">Why there is none.</param>
/// <param name="Problem">Why it does not belong to the sign-in under way.</param>
internal sealed record AuthorizationResponse(string? Code, OAuthException? Failure, string? Problem)
{
    /// <summary>A response to something else.</summary>
    public static AuthorizationResponse Foreign { get; } =
        new(null, null, "It carries another state than the one that was sent. Begin again from the page that mcp-proxy named last.");

    /// <summary>Reads a response.</summary>
    /// <param name="query">The query of the redirect.</param>
    /// <param name="flow">The request.</param>
    /// <param name="sendsIssuer">Whether the server names itself in each response.</param>
    public static AuthorizationResponse Read(string query, StoredFlow flow, bool sendsIssuer)
    {
        var parameters = query.Split('&', StringSplitOptions.RemoveEmptyEntries)
            .Select(parameter => parameter.Split('=', 2))
            .Select(parts => (Name: WebUtility.UrlDecode(parts[0]), Value: parts.Length == 2 ? WebUtility.UrlDecode(parts[1]) : ""))
            .ToLookup(parameter => parameter.Name, parameter => parameter.Value, StringComparer.Ordinal);
        if (flow.State is not { } expected || parameters["state"].ToList() is not [var state] || !IsEqual(state, expected))
        {
            return Foreign;
        }

        // RFC 9207 section 2.4: compared as they are, and before anything else in the response is looked at.
        var issuers = parameters["iss"].ToList();
        if (issuers.Count > 0 ? issuers.Exists(issuer => issuer != flow.Issuer) : sendsIssuer)
        {
            return Failed(new(OAuthFailure.Denied, $"the answer to the sign-in does not come from {flow.Issuer}, where it began; nothing of it was used"));
        }

        if (parameters["error"].FirstOrDefault() is { } error)
        {
            return Failed(new(OAuthFailure.Denied, $"the authorization server refused: {OAuthErrors.Describe(error, parameters["error_description"].FirstOrDefault())}") { Code = error });
        }

        return parameters["code"].ToList() is [{ Length: > 0 } code] ? new(code, null, null) : new(null, null, "It carries neither a code nor an error.");
    }

    private static AuthorizationResponse Failed(OAuthException failure) => new(null, failure, null);

    private static bool IsEqual(string left, string right) => CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(left), Encoding.UTF8.GetBytes(right));
}
