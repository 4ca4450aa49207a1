using System.CommandLine;
using System.Net;
using System.Text;
using McpProxy.AspNetCore;
using McpProxy.AspNetCore.Access;
using McpProxy.AspNetCore.Access.Tls;
using McpProxy.Transports.Http;

namespace McpProxy.Cli.CommandLine;

/// <summary>The options about who may come in over HTTP.</summary>
internal sealed class AccessOptions
{
    /// <summary>The variable that holds a key, so that it need not be on a command line.</summary>
    public const string ApiKeyVariable = "MCP_PROXY_API_KEY";

    private const string Ways = "--api-key, --basic-auth, --auth-issuer or --tls-client-ca";

    private readonly Option<string[]> _apiKey = new("--api-key") { HelpName = "KEY", Description = $"Let clients in that send this key, as Authorization: Bearer or X-API-Key; better from a file, as ${{NAME}}, or in {ApiKeyVariable}. Repeatable" };
    private readonly Option<string[]> _apiKeyFile = new("--api-key-file") { HelpName = "FILE", Description = "Keys from a file, one a line, # comments. Repeatable" };
    private readonly Option<string[]> _basicAuth = new("--basic-auth") { HelpName = "USER:PASSWORD", Description = "Let this user in, by password; better from a file, or as ${NAME}. Repeatable" };
    private readonly Option<string[]> _basicAuthFile = new("--basic-auth-file") { HelpName = "FILE", Description = "Users from a file, USER:PASSWORD lines, # comments. Repeatable" };
    private readonly Option<string[]> _issuer = new("--auth-issuer") { HelpName = "URL", Description = "Let clients in with access tokens (JWT) of this authorization server. Repeatable" };
    private readonly Option<string[]> _audience = new("--auth-audience") { HelpName = "AUDIENCE", Description = "Whom such tokens must be meant for. Repeatable. Default: what --base-url makes of the paths" };
    private readonly Option<string[]> _scope = new("--auth-scope") { HelpName = "SCOPES", Description = "Scopes that such tokens must have, all of them. Repeatable" };
    private readonly Option<bool> _noAuth = new("--no-auth") { Description = "Let everybody in who reaches the port, also where --host is not this machine alone" };
    private readonly Option<string> _tlsCert = new("--tls-cert") { HelpName = "FILE", Description = "Serve HTTPS, with the certificate (and its chain) in this PEM file; read again when it changes" };
    private readonly Option<string> _tlsKey = new("--tls-key") { HelpName = "FILE", Description = "Its private key. Default: in the same file" };
    private readonly Option<string> _tlsKeyPassword = new("--tls-key-password") { HelpName = "PASSWORD", Description = "The password of the key, if it is encrypted; better as ${NAME}" };
    private readonly Option<string> _tlsClientCa = new("--tls-client-ca") { HelpName = "FILE", Description = "Let clients in with certificates of the authorities in this PEM file, and no others (mutual TLS)" };

    public AccessOptions() => All =
    [
        _apiKey, _apiKeyFile, _basicAuth, _basicAuthFile, _issuer, _audience, _scope, _noAuth, _tlsCert, _tlsKey, _tlsKeyPassword, _tlsClientCa,
    ];

    /// <summary>All of them, in the order of the help.</summary>
    public IReadOnlyList<Option> All { get; }

    /// <summary>Whether only this machine can reach an address to serve on.</summary>
    /// <param name="host">What <c>--host</c> says. A name other than <c>localhost</c> may be anything.</param>
    public static bool IsLoopback(string host) =>
        string.Equals(host, "localhost", StringComparison.OrdinalIgnoreCase) || (IPAddress.TryParse(host.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address));

    /// <summary>The words of the command line that are secret, so that they can be blotted out.</summary>
    public IEnumerable<string> Secrets(ParseResult parsed) =>
        ((string[])[.. parsed.GetValue(_apiKey) ?? [], .. (parsed.GetValue(_basicAuth) ?? []).Select(user => user[(user.IndexOf(':', StringComparison.Ordinal) + 1)..]), parsed.GetValue(_tlsKeyPassword) ?? ""])
            .Where(value => !value.Contains("${", StringComparison.Ordinal));

    /// <summary>What the options ask for.</summary>
    /// <param name="parsed">The options.</param>
    /// <param name="isServed">Whether HTTP is served at all.</param>
    /// <param name="host">The address to serve on.</param>
    /// <param name="endpoint">What is served.</param>
    /// <param name="network">How authorization servers are reached.</param>
    /// <param name="environment">Looks a variable up.</param>
    /// <exception cref="UsageException">Something is missing, does not go together, or would let everybody in without being asked to.</exception>
    public AccessSettings Settings(ParseResult parsed, bool isServed, string host, McpEndpointOptions endpoint, NetworkOptions network, Func<string, string?> environment)
    {
        if (!isServed)
        {
            return All.FirstOrDefault(option => option != _noAuth && parsed.GetResult(option) is not null) is { } option
                ? throw new UsageException($"{option.Name} needs --port: it is about clients that come over HTTP, and without --port nothing is served there")
                : new();
        }

        var tls = Tls(parsed, environment);
        var authentication = new InboundAuthenticationOptions
        {
            ApiKeys = ApiKeys(parsed, environment),
            BasicUsers = BasicUsers(parsed, environment),
            Jwt = Jwt(parsed, endpoint),
            AcceptsClientCertificates = tls?.ClientAuthorityFile is not null,
            Network = network,
        };
        if (parsed.GetValue(_noAuth) && authentication.HasAny)
        {
            throw new UsageException($"--no-auth and a way to authenticate ({Ways}, or the variable {ApiKeyVariable}) exclude each other");
        }

        return authentication.HasAny || parsed.GetValue(_noAuth) || IsLoopback(host)
            ? new() { Authentication = authentication.HasAny ? authentication : null, Tls = tls }
            : throw new UsageException($"--host {host} would let everybody on the network use the server: give clients a way to authenticate ({Ways}), or say --no-auth if that is meant");
    }

    private static string[] ReadLines(Option option, string file)
    {
        try
        {
            return [.. File.ReadAllLines(file, Encoding.UTF8).Select(line => line.Trim()).Where(line => line.Length > 0 && line[0] != '#')];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{option.Name} cannot be read: {e.Message}");
        }
    }

    /// <summary>The values of an option and of the files of another, each with where it came from, for errors that must not show it.</summary>
    private static IEnumerable<(string Value, string Where)> Values(ParseResult parsed, Option<string[]> option, Option<string[]> files, Func<string, string?> environment)
    {
        foreach (var value in parsed.GetValue(option) ?? [])
        {
            yield return (HeaderReader.Expand(value, option.Name, environment), option.Name);
        }

        foreach (var file in parsed.GetValue(files) ?? [])
        {
            var lines = ReadLines(files, file);
            if (lines.Length == 0)
            {
                throw new UsageException($"{files.Name}: there is nothing in {file}");
            }

            foreach (var line in lines)
            {
                yield return (line, $"{files.Name} {file}");
            }
        }
    }

    private static T Made<T>(string where, Func<T> make)
    {
        try
        {
            return make();
        }
        catch (ArgumentException e)
        {
            throw new UsageException($"{where}: {e.Message.Split(" (Parameter", 2)[0]}");
        }
    }

    private List<ApiKey> ApiKeys(ParseResult parsed, Func<string, string?> environment)
    {
        var keys = Values(parsed, _apiKey, _apiKeyFile, environment).Select(entry => Made(entry.Where, () => ApiKey.Of(entry.Value))).ToList();
        if (environment(ApiKeyVariable) is { } variable)
        {
            // Set and empty is a secret that got lost on the way, and must not leave the door open.
            keys.Add(Made(ApiKeyVariable, () => ApiKey.Of(variable.Trim())));
        }

        return keys;
    }

    private List<BasicUser> BasicUsers(ParseResult parsed, Func<string, string?> environment) =>
        [.. Values(parsed, _basicAuth, _basicAuthFile, environment).Select(entry =>
        {
            var parts = entry.Value.Split(':', 2);
            return parts.Length < 2 ? throw new UsageException($"{entry.Where}: a user is written USER:PASSWORD") : Made(entry.Where, () => BasicUser.Of(parts[0], parts[1]));
        })];

    private JwtAccessOptions? Jwt(ParseResult parsed, McpEndpointOptions endpoint)
    {
        var issuers = parsed.GetValue(_issuer) ?? [];
        var audiences = parsed.GetValue(_audience) ?? [];
        var scopes = (parsed.GetValue(_scope) ?? []).SelectMany(scope => scope.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Distinct(StringComparer.Ordinal).ToList();
        if (issuers.Length == 0)
        {
            return audiences.Length == 0 && scopes.Count == 0 ? null : throw new UsageException("--auth-audience and --auth-scope are about access tokens: name who issues them with --auth-issuer");
        }

        if (audiences.Length == 0)
        {
            audiences = [.. ProtectedResourceMetadata.KnownResources(endpoint)];
        }

        return new()
        {
            Issuers = issuers,
            Audiences = audiences.Length > 0 && !audiences.Any(string.IsNullOrWhiteSpace) ? audiences
                : throw new UsageException("--auth-issuer needs to know whom tokens must be meant for: give the URL that clients use with --base-url, or --auth-audience"),
            RequiredScopes = scopes,
        };
    }

    private TlsFiles? Tls(ParseResult parsed, Func<string, string?> environment)
    {
        if (parsed.GetValue(_tlsCert) is { } certificate)
        {
            return new()
            {
                CertificateFile = certificate,
                KeyFile = parsed.GetValue(_tlsKey),
                KeyPassword = parsed.GetValue(_tlsKeyPassword) is { } password ? HeaderReader.Expand(password, _tlsKeyPassword.Name, environment) : null,
                ClientAuthorityFile = parsed.GetValue(_tlsClientCa),
            };
        }

        return ((Option<string>[])[_tlsKey, _tlsKeyPassword, _tlsClientCa]).FirstOrDefault(option => parsed.GetValue(option) is not null) is { } without
            ? throw new UsageException($"{without.Name} needs --tls-cert: the certificate that HTTPS is served with")
            : null;
    }
}
