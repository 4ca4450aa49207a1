using System.CommandLine;
using McpProxy.Auth;
using McpProxy.Auth.Clients;
using McpProxy.Auth.SignIn;
using McpProxy.Auth.Store;
using McpProxy.Transports.Http;

namespace McpProxy.Cli.CommandLine;

/// <summary>The options about signing in to servers and about the network on the way there.</summary>
internal sealed class SignInOptions
{
    /// <summary>The variable that holds the client's secret, so that it need not be on a command line.</summary>
    public const string ClientSecretVariable = "MCP_PROXY_CLIENT_SECRET";

    private static readonly TimeSpan s_margin = TimeSpan.FromMinutes(1);

    private readonly Option<string> _clientId = new("--client-id") { HelpName = "ID", Description = "The client id that the server's owner gave you. Default: the proxy registers itself" };
    private readonly Option<string> _clientSecret = new("--client-secret") { HelpName = "SECRET|@FILE", Description = $"Its secret; better from a file, as ${{NAME}}, or in {ClientSecretVariable}" };
    private readonly Option<string> _clientKey = new("--client-key") { HelpName = "FILE", Description = "PEM file with the private key that the client authenticates with (private_key_jwt)" };
    private readonly Option<string> _clientKeyId = new("--client-key-id") { HelpName = "KID", Description = "The key's id, where the authorization server needs it" };
    private readonly Option<string> _clientMetadataUrl = new("--client-metadata-url") { HelpName = "URL", Description = "A Client ID Metadata Document to be known by, where the authorization server supports that" };
    private readonly Option<string> _clientInfo = new("--static-oauth-client-info") { HelpName = "JSON|@FILE", Description = "A registered client: client_id, client_secret, redirect_uris, token_endpoint_auth_method, issuer" };
    private readonly Option<string> _clientMetadata = new("--static-oauth-client-metadata") { HelpName = "JSON|@FILE", Description = "Members for the registration request, in place of the proxy's own" };
    private readonly Option<string> _scope = new("--scope") { HelpName = "SCOPES", Description = "The scopes to ask for. Default: those that the server names" };
    private readonly Option<string> _resource = new("--resource") { HelpName = "URI", Description = "The resource parameter. Default: what the server calls itself; \"\": none" };
    private readonly Option<bool> _noResource = new("--disable-resource-parameter") { Description = "The same as --resource \"\"" };
    private readonly Option<string[]> _authorizeParameters = new("--authorize-param") { HelpName = "K=V", Description = "A parameter for the authorization request, such as access_type=offline. Repeatable" };
    private readonly Option<string> _callbackHost = new("--callback-host") { HelpName = "HOST", Description = "The host that the browser comes back to. Default: localhost; 0.0.0.0 listens on all addresses, as in a container" };
    private readonly Option<int?> _callbackPort = new("--callback-port")
    {
        HelpName = "PORT",
        Description = "The port that the browser comes back to; in use: an error. Default: one that stays the same for the server",
        CustomParser = result => ProxyCommand.Parsed<int?>(
            result, "--callback-port", "a port from 1 to 65535 that browsers open", ushort.TryParse(ProxyCommand.Word(result), out var port) && RedirectAddress.IsForBrowsers(port), port),
    };

    private readonly Option<string> _callbackPath = new("--callback-path") { HelpName = "PATH", Description = "The path that the browser comes back to. Default: /oauth/callback" };
    private readonly Option<string> _successUrl = new("--auth-success-url") { HelpName = "URL", Description = "Where the browser is sent after a sign-in that worked. Default: a page of the proxy" };
    private readonly Option<double> _timeout = ProxyCommand.Seconds("--auth-timeout", "How long one sign-in may take", 300);
    private readonly Option<double> _wait = ProxyCommand.Seconds("--auth-wait", "How long a request waits for a sign-in before it fails with the URL to sign in at", 30);
    private readonly Option<string> _profile = new("--auth-profile") { HelpName = "NAME", Description = "Tells several accounts for one server apart" };
    private readonly Option<string> _store = new("--token-store") { HelpName = "auto|file|keychain|memory", Description = "Where sign-ins are kept. auto: files, sealed by a key in the keychain where there is one. Default: auto" };
    private readonly Option<bool> _noBrowser = new("--no-browser") { Description = "Do not open the browser, only say where to sign in" };
    private readonly Option<bool> _noOAuth = new("--no-oauth") { Description = "Never sign in: the client gets the server's refusal" };
    private readonly Option<bool> _deviceCode = new("--device-code") { Description = "Sign in with a browser on any machine, by typing in a code" };
    private readonly Option<bool> _clientCredentials = new("--client-credentials") { Description = "Sign in as the client itself, without a user" };
    private readonly Option<string> _tokenEndpoint = new("--token-endpoint") { HelpName = "URL", Description = "Where tokens are requested, for --client-credentials and --assertion-file. Default: found by discovery" };
    private readonly Option<string> _assertionFile = new("--assertion-file") { HelpName = "FILE", Description = "Sign in with the JWT in this file (RFC 7523), as workloads do" };
    private readonly Option<string> _idpIssuer = new("--idp-issuer") { HelpName = "URL", Description = "Sign in through the organisation's identity provider (enterprise-managed authorization)" };
    private readonly Option<string> _idpTokenEndpoint = new("--idp-token-endpoint") { HelpName = "URL", Description = "Its token endpoint. Default: found by --idp-issuer" };
    private readonly Option<string> _idpClientId = new("--idp-client-id") { HelpName = "ID", Description = "The client id at the identity provider" };
    private readonly Option<string> _idpClientSecret = new("--idp-client-secret") { HelpName = "SECRET|@FILE", Description = "Its secret there, if there is one" };
    private readonly Option<string> _idpIdTokenFile = new("--idp-id-token-file") { HelpName = "FILE", Description = "The file with the user's ID token of the identity provider" };
    private readonly Option<bool> _allowHttp = new("--allow-http") { Description = "Sign in over plain http, also where that is not on this machine" };
    private readonly Option<string[]> _caFile = new("--ca-file") { HelpName = "FILE", Description = "PEM file with certificate authorities to trust besides those of the system. Repeatable" };
    private readonly Option<string> _clientCert = new("--client-cert") { HelpName = "FILE", Description = "PEM file with the certificate that this program shows to the server" };
    private readonly Option<string> _clientCertKey = new("--client-cert-key") { HelpName = "FILE", Description = "Its private key. Default: in the same file" };
    private readonly Option<bool> _insecure = new("--insecure") { Description = "Do not check certificates. Only for a laboratory" };

    public SignInOptions()
    {
        _store.AcceptOnlyFromAmong("auto", "file", "keychain", "memory");
        All =
        [
            _clientId, _clientSecret, _clientKey, _clientKeyId, _clientMetadataUrl, _clientInfo, _clientMetadata, _scope, _resource, _noResource, _authorizeParameters,
            _callbackHost, _callbackPort, _callbackPath, _successUrl, _timeout, _wait, _profile, _store, _noBrowser, _noOAuth,
            _deviceCode, _clientCredentials, _tokenEndpoint, _assertionFile, _idpIssuer, _idpTokenEndpoint, _idpClientId, _idpClientSecret, _idpIdTokenFile,
            _allowHttp, _caFile, _clientCert, _clientCertKey, _insecure,
        ];
    }

    /// <summary>All of them, in the order of the help.</summary>
    public IReadOnlyList<Option> All { get; }

    /// <summary>What the network options ask for.</summary>
    /// <param name="parsed">The options.</param>
    /// <param name="environment">Looks a variable up.</param>
    public NetworkOptions Network(ParseResult parsed, Func<string, string?> environment) => new()
    {
        // People who come from a program on Node.js have named their company's authority this way.
        AuthorityFiles = [.. parsed.GetValue(_caFile) ?? [], .. environment("NODE_EXTRA_CA_CERTS") is { Length: > 0 } file && File.Exists(file) ? [file] : Array.Empty<string>()],
        ClientCertificateFile = parsed.GetValue(_clientCert),
        ClientKeyFile = parsed.GetValue(_clientCertKey),
        Insecure = parsed.GetValue(_insecure),
    };

    /// <summary>Where sign-ins are kept.</summary>
    public TokenStoreKind Store(ParseResult parsed) => parsed.GetValue(_store) switch
    {
        "file" => TokenStoreKind.File,
        "keychain" => TokenStoreKind.Keychain,
        "memory" => TokenStoreKind.Memory,
        _ => TokenStoreKind.Automatic,
    };

    /// <summary>How to sign in; null not to.</summary>
    /// <param name="parsed">The options.</param>
    /// <param name="hasOwnAuthorization">Whether the user gave an <c>Authorization</c> header.</param>
    /// <param name="hostOption">What <c>--host</c> says, where it cannot mean an address to serve on.</param>
    /// <param name="headersAsTyped">The headers as typed.</param>
    /// <param name="waitsForUser">Whether signing in is all that is to be done, so that it may take as long as it may.</param>
    /// <param name="environment">Looks a variable up.</param>
    /// <exception cref="UsageException">Something is missing, or does not go together.</exception>
    public OAuthOptions? OAuth(
        ParseResult parsed, bool hasOwnAuthorization, string? hostOption, IReadOnlyList<KeyValuePair<string, string>> headersAsTyped, bool waitsForUser, Func<string, string?> environment)
    {
        var grant = Grant(parsed);
        if (hasOwnAuthorization || parsed.GetValue(_noOAuth))
        {
            return grant == OAuthGrant.AuthorizationCode ? null
                : throw new UsageException("an Authorization header or --no-oauth rules out the other ways to sign in (--device-code, --client-credentials, --assertion-file, --idp-...)");
        }

        var client = Client(parsed, environment);
        var tokenEndpoint = Url(parsed, _tokenEndpoint);
        if (tokenEndpoint is not null && grant is not (OAuthGrant.ClientCredentials or OAuthGrant.JwtBearer))
        {
            throw new UsageException("--token-endpoint is for --client-credentials and --assertion-file; with a browser the endpoints are found by discovery");
        }

        if (client is null && grant is OAuthGrant.ClientCredentials or OAuthGrant.EnterpriseManaged && parsed.GetValue(_clientMetadataUrl) is null)
        {
            throw new UsageException("--client-credentials and --idp-... need a client: --client-id, and --client-secret or --client-key");
        }

        var path = parsed.GetValue(_callbackPath);
        return new()
        {
            Grant = grant,
            Client = client,
            ClientMetadataUrl = MetadataUrl(parsed),
            RegistrationMetadata = Json(parsed, _clientMetadata)?.Text,
            ClientKey = parsed.GetValue(_clientKey) is { } file ? ReadFile("--client-key", file) : null,
            ClientKeyId = parsed.GetValue(_clientKeyId),
            Scope = parsed.GetValue(_scope) ?? Json(parsed, _clientMetadata)?.Document.String("scope"),
            Resource = Resource(parsed),
            AuthorizeParameters = [.. (parsed.GetValue(_authorizeParameters) ?? []).Select(AuthorizeParameter)],
            TokenEndpoint = tokenEndpoint,
            AssertionFile = parsed.GetValue(_assertionFile),
            IdentityProvider = IdentityProvider(parsed, environment),
            CallbackHost = parsed.GetValue(_callbackHost) ?? hostOption,
            CallbackPort = parsed.GetValue(_callbackPort),
            CallbackPath = path is null ? null : ProxyCommand.Rooted("--callback-path", path),
            SuccessUrl = Url(parsed, _successUrl),
            SignInTimeout = TimeSpan.FromSeconds(Math.Max(1, parsed.GetValue(_timeout))),
            RequestWait = waitsForUser ? TimeSpan.FromSeconds(parsed.GetValue(_timeout)) + s_margin : TimeSpan.FromSeconds(parsed.GetValue(_wait)),
            Profile = parsed.GetValue(_profile),
            Store = Store(parsed),
            OpenBrowser = !parsed.GetValue(_noBrowser),
            AllowHttp = parsed.GetValue(_allowHttp),
            HeadersAsTyped = headersAsTyped,
        };
    }

    /// <summary>The words of the command line that are secret, so that they can be blotted out.</summary>
    public IEnumerable<string> Secrets(ParseResult parsed) =>
        ((string?[])[parsed.GetValue(_clientSecret), parsed.GetValue(_clientInfo), parsed.GetValue(_idpClientSecret)])
            .OfType<string>().Where(value => !value.StartsWith('@') && !value.Contains("${", StringComparison.Ordinal));

    private OAuthGrant Grant(ParseResult parsed)
    {
        var grants = new List<OAuthGrant>();
        if (parsed.GetValue(_deviceCode))
        {
            grants.Add(OAuthGrant.DeviceCode);
        }

        if (parsed.GetValue(_clientCredentials))
        {
            grants.Add(OAuthGrant.ClientCredentials);
        }

        if (parsed.GetValue(_assertionFile) is not null)
        {
            grants.Add(OAuthGrant.JwtBearer);
        }

        if (parsed.GetValue(_idpIssuer) is not null || parsed.GetValue(_idpTokenEndpoint) is not null)
        {
            grants.Add(OAuthGrant.EnterpriseManaged);
        }

        return grants.Count switch
        {
            0 => OAuthGrant.AuthorizationCode,
            1 => grants[0],
            _ => throw new UsageException("--device-code, --client-credentials, --assertion-file and --idp-... exclude each other"),
        };
    }

    private OAuthClient? Client(ParseResult parsed, Func<string, string?> environment)
    {
        var secret = Secret("--client-secret", parsed.GetValue(_clientSecret), environment) ?? (environment(ClientSecretVariable) is { Length: > 0 } variable ? variable : null);
        if (Json(parsed, _clientInfo) is { Document: { } info })
        {
            return new(info.String("client_id") is { Length: > 0 } id ? id : throw new UsageException("--static-oauth-client-info needs a client_id"))
            {
                Secret = info.String("client_secret") ?? secret,
                AuthMethod = info.String("token_endpoint_auth_method"),
                RedirectUris = info.Strings("redirect_uris") ?? [],
                Issuer = info.String("issuer"),
            };
        }

        if (parsed.GetValue(_clientId) is { Length: > 0 } given)
        {
            return new(given) { Secret = secret };
        }

        return parsed.GetValue(_clientSecret) is null ? null : throw new UsageException("--client-secret needs --client-id");
    }

    private IdentityProviderOptions? IdentityProvider(ParseResult parsed, Func<string, string?> environment)
    {
        var issuer = parsed.GetValue(_idpIssuer);
        var endpoint = Url(parsed, _idpTokenEndpoint);
        if (issuer is null && endpoint is null)
        {
            return null;
        }

        return new()
        {
            Issuer = issuer,
            TokenEndpoint = endpoint,
            ClientId = parsed.GetValue(_idpClientId) ?? throw new UsageException("--idp-client-id is missing: the client id at the identity provider"),
            ClientSecret = Secret("--idp-client-secret", parsed.GetValue(_idpClientSecret), environment),
            IdTokenFile = parsed.GetValue(_idpIdTokenFile) ?? throw new UsageException("--idp-id-token-file is missing: the file with the user's ID token"),
        };
    }

    private Uri? MetadataUrl(ParseResult parsed)
    {
        var url = Url(parsed, _clientMetadataUrl);
        return url is null || (url.Scheme == Uri.UriSchemeHttps && url.AbsolutePath.Length > 1) ? url
            : throw new UsageException("--client-metadata-url takes an https URL with a path");
    }

    private string? Resource(ParseResult parsed)
    {
        if (parsed.GetValue(_noResource))
        {
            return "";
        }

        var resource = parsed.GetValue(_resource);
        return string.IsNullOrEmpty(resource) || (Uri.TryCreate(resource, UriKind.Absolute, out var uri) && uri.Fragment.Length == 0) ? resource
            : throw new UsageException("--resource takes an absolute URI without a fragment, or \"\"");
    }

    private static KeyValuePair<string, string> AuthorizeParameter(string text)
    {
        var parts = text.Split('=', 2);
        if (parts.Length < 2 || parts[0].Length == 0)
        {
            throw new UsageException("--authorize-param takes NAME=VALUE");
        }

        return parts[0] is "state" or "code_challenge" or "code_challenge_method" or "client_id" or "redirect_uri" or "response_type" or "scope" or "resource"
            ? throw new UsageException($"--authorize-param cannot set {parts[0]}, which is the proxy's to say")
            : new(parts[0], parts[1]);
    }

    private static Uri? Url(ParseResult parsed, Option<string> option)
    {
        var text = parsed.GetValue(option);
        return text is null ? null
            : NormalizedCommandLine.IsUrl(text) && Uri.TryCreate(text, UriKind.Absolute, out var url) ? url
            : throw new UsageException($"{option.Name} takes an http or https URL, not \"{text}\"");
    }

    private static (string Text, OAuthDocument Document)? Json(ParseResult parsed, Option<string> option)
    {
        var value = parsed.GetValue(option);
        if (value is null)
        {
            return null;
        }

        var text = value.StartsWith('@') ? ReadFile(option.Name, value[1..]) : value;
        return OAuthDocument.TryParse(System.Text.Encoding.UTF8.GetBytes(text)) is { } document ? (text, document)
            : throw new UsageException($"{option.Name} takes a JSON object, or @ and the name of a file with one");
    }

    private static string? Secret(string option, string? value, Func<string, string?> environment) =>
        value is null ? null : value.StartsWith('@') ? ReadFile(option, value[1..]).Trim() : HeaderReader.Expand(value, option, environment);

    private static string ReadFile(string option, string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{option} cannot be read: {e.Message}");
        }
    }
}
