using System.Text;
using McpProxy.Auth.Discovery;

namespace McpProxy.Auth.Clients;

/// <summary>How a client shows a token endpoint who it is (RFC 6749 section 2.3, RFC 7523 section 2.2).</summary>
internal sealed class ClientAuthentication(JwtSigner? key, string? keyId, TimeProvider time)
{
    private static readonly TimeSpan s_assertionLifetime = TimeSpan.FromMinutes(2);

    public bool HasKey => key is not null;

    /// <summary>The method for a client at a server: the one agreed on at registration, else the best that both can do.</summary>
    public string MethodFor(OAuthClient client, AuthorizationServer server)
    {
        if (client.AuthMethod is not null)
        {
            return client.AuthMethod;
        }

        // RFC 8414 section 2: a server that does not say takes client_secret_basic.
        var supported = server.TokenEndpointAuthMethods;
        string[] possible = key is not null && client.Secret is null ? ["private_key_jwt"]
            : client.Secret is null ? ["none"]
            : ["client_secret_basic", "client_secret_post", "none"];
        return possible.FirstOrDefault(method => supported?.Contains(method, StringComparer.Ordinal) == true) ?? possible[0];
    }

    /// <summary>Adds what identifies the client to a request.</summary>
    /// <param name="client">The client.</param>
    /// <param name="server">Whom it is sent to.</param>
    /// <param name="form">The request's parameters.</param>
    /// <returns>The value of the <c>Authorization</c> header; null when there is none.</returns>
    public string? Apply(OAuthClient client, AuthorizationServer server, List<KeyValuePair<string, string>> form)
    {
        switch (MethodFor(client, server))
        {
            case "client_secret_basic":
                // Both are form-encoded before they are joined (RFC 6749 section 2.3.1).
                return $"Basic {Convert.ToBase64String(Encoding.ASCII.GetBytes($"{Encode(client.Id)}:{Encode(client.Secret ?? "")}"))}";
            case "client_secret_post":
                form.Add(new("client_id", client.Id));
                form.Add(new("client_secret", client.Secret ?? ""));
                return null;
            case "private_key_jwt":
                form.Add(new("client_id", client.Id));
                form.Add(new("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
                form.Add(new("client_assertion", Assertion(client, server)));
                return null;
            case "none":
                if (client.Id.Length > 0)
                {
                    form.Add(new("client_id", client.Id));
                }

                return null;
            case var other:
                throw new OAuthException(OAuthFailure.Unusable, $"the client must authenticate by \"{other}\", which this program cannot do");
        }
    }

    private static string Encode(string text) => Uri.EscapeDataString(text).Replace("%20", "+", StringComparison.Ordinal);

    private string Assertion(OAuthClient client, AuthorizationServer server)
    {
        if (key is null)
        {
            throw new OAuthException(OAuthFailure.Unusable, "the client must authenticate with a key: give it with --client-key FILE");
        }

        var algorithm = key.Choose(server.TokenEndpointAuthAlgorithms);
        var now = time.GetUtcNow();
        var header = JsonText.Object(writer =>
        {
            writer.WriteString("alg", algorithm);
            writer.WriteString("typ", "JWT");
            if (keyId is not null)
            {
                writer.WriteString("kid", keyId);
            }
        });
        var payload = JsonText.Object(writer =>
        {
            writer.WriteString("iss", client.Id);
            writer.WriteString("sub", client.Id);
            writer.WriteString("aud", server.Issuer);
            writer.WriteString("jti", UnguessableText.Create());
            writer.WriteNumber("iat", now.ToUnixTimeSeconds());
            writer.WriteNumber("exp", (now + s_assertionLifetime).ToUnixTimeSeconds());
        });
        return key.Sign(header, payload, algorithm);
    }
}
