using System.Buffers.Text;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore.Tests.Access;

/// <summary>An authorization server, as far as a resource server sees it: metadata, keys, and tokens that it signs.</summary>
internal sealed class Issuer : IAsyncDisposable
{
    public const string Audience = "https://mcp.test/mcp";

    private readonly TimeProvider _time;
    private readonly string _path;
    private readonly string _wellKnown;
    private TestServer _server = null!;
    private int _keyRequests;

    private Issuer(TimeProvider time, string path, string wellKnown) => (_time, _path, _wellKnown) = (time, path, wellKnown);

    public string Url => _server.Url.GetLeftPart(UriPartial.Authority) + _path;

    /// <summary>The keys that it publishes.</summary>
    public List<SigningKey> Keys { get; } = [new("rsa", RSA.Create(2048)), new("ec", ECDsa.Create(ECCurve.NamedCurves.nistP256))];

    /// <summary>What it answers in place of everything; null to do as it should.</summary>
    public Func<HttpContext, Task>? Failure { get; set; }

    /// <summary>Changes the metadata.</summary>
    public Action<JsonObject> EditMetadata { get; set; } = _ => { };

    /// <summary>What the key set waits for.</summary>
    public Task Ready { get; set; } = Task.CompletedTask;

    /// <summary>How often the keys were asked for.</summary>
    public int KeyRequests => Volatile.Read(ref _keyRequests);

    public static async Task<Issuer> StartAsync(TimeProvider time, string path = "", string wellKnown = "/.well-known/oauth-authorization-server{0}")
    {
        var issuer = new Issuer(time, path, string.Format(CultureInfo.InvariantCulture, wellKnown, path));
        issuer._server = await TestServer.ScriptAsync(issuer.ServeAsync);
        return issuer;
    }

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    /// <summary>A token that is good, but for what the test changes.</summary>
    public string Token(string algorithm = "RS256", SigningKey? key = null, Action<JsonObject>? claims = null, Action<JsonObject>? header = null)
    {
        key ??= Keys.First(candidate => candidate.Kid.StartsWith(algorithm[0] == 'E' ? "ec" : "rsa", StringComparison.Ordinal));
        var now = _time.GetUtcNow().ToUnixTimeSeconds();
        var payload = new JsonObject { ["iss"] = Url, ["sub"] = "ann", ["aud"] = Audience, ["iat"] = now, ["exp"] = now + 600, ["scope"] = "mcp:tools", ["client_id"] = "app" };
        var head = new JsonObject { ["alg"] = algorithm, ["kid"] = key.Kid, ["typ"] = "at+jwt" };
        claims?.Invoke(payload);
        header?.Invoke(head);
        return Signed(head.ToJsonString(), payload.ToJsonString(), algorithm, key);
    }

    public static string Signed(string header, string payload, string algorithm, SigningKey key)
    {
        var signed = $"{Base64Url.EncodeToString(Encoding.UTF8.GetBytes(header))}.{Base64Url.EncodeToString(Encoding.UTF8.GetBytes(payload))}";
        return $"{signed}.{Base64Url.EncodeToString(key.Sign(Encoding.ASCII.GetBytes(signed), algorithm))}";
    }

    private async Task ServeAsync(HttpContext context)
    {
        if (context.Request.Path == "/keys")
        {
            Interlocked.Increment(ref _keyRequests);
        }

        if (Failure is { } failure)
        {
            await failure(context);
        }
        else if (context.Request.Path == _wellKnown)
        {
            var metadata = new JsonObject { ["issuer"] = Url, ["jwks_uri"] = $"{_server.Url.GetLeftPart(UriPartial.Authority)}/keys" };
            EditMetadata(metadata);
            await context.Response.WriteAsync(metadata.ToJsonString(), context.RequestAborted);
        }
        else if (context.Request.Path == "/keys")
        {
            await Ready;
            var keys = new JsonObject { ["keys"] = new JsonArray([.. Keys.Select(key => key.Public())]) };
            await context.Response.WriteAsync(keys.ToJsonString(), context.RequestAborted);
        }
        else
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
        }
    }
}
