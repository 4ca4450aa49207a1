using System.Security.Cryptography;
using System.Text.Json;
using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests.OAuth;

/// <summary>Clients that the authorization server knows already, for users and for machines.</summary>
public sealed class GivenClientTests(Chromium chromium)
{
    private const string Secret = "s3cret: 100% + more/?&=";
    private const string DocumentUrl = "https://client.example/mcp-proxy.json";
    private static readonly string[] s_loopback = ["http://localhost/oauth/callback"];
    private static readonly string[] s_user = ["authorization_code", "refresh_token"];
    private static readonly string[] s_machine = ["client_credentials"];
    private static readonly string[] s_none = [];

    [Fact]
    public async Task A_public_client_signs_a_user_in()
    {
        await using var scene = await SignInScene.OpenAsync(chromium, Known(User("known", "none")));

        (await SignInAsync(scene, "--client-id", "known")).Text("client_id").ShouldBe("known");

        (await scene.Server.SeenAsync()).Registrations.ShouldBeEmpty();
    }

    [Theory, InlineData("client_secret_basic"), InlineData("client_secret_post")]
    public async Task A_client_with_a_secret_signs_a_user_in(string method)
    {
        await using var scene = await SignInScene.OpenAsync(chromium, Known(User("known", method, Secret)));
        scene.Set("MCP_PROXY_CLIENT_SECRET", Secret);
        var information = JsonSerializer.Serialize(new { client_id = "known", client_secret = Secret, token_endpoint_auth_method = method });

        var who = method == "client_secret_basic"
            ? await SignInAsync(scene, "--client-id", "known")
            : await SignInAsync(scene, "--static-oauth-client-info", information);

        who.Text("client_id").ShouldBe("known");
        (await scene.Server.SeenAsync()).TokenRequests.ShouldHaveSingleItem().Text("authentication").ShouldBe(method);
    }

    [Fact]
    public async Task A_client_with_a_key_signs_a_user_in()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        await using var scene = await SignInScene.OpenAsync(chromium, Known(User("known", "private_key_jwt", jwk: Jwk(key))));
        var file = await WriteAsync(scene, "key.pem", key.ExportPkcs8PrivateKeyPem());

        (await SignInAsync(scene, "--client-id", "known", "--client-key", file)).Text("client_id").ShouldBe("known");

        (await scene.Server.SeenAsync()).TokenRequests.ShouldHaveSingleItem().Text("authentication").ShouldBe("private_key_jwt");
    }

    [Fact]
    public async Task A_client_that_is_a_document_on_the_web_signs_a_user_in()
    {
        var document = new Dictionary<string, object>(StringComparer.Ordinal)
        {
            [DocumentUrl] = new
            {
                client_id = DocumentUrl,
                client_name = "mcp-proxy",
                application_type = "native",
                redirect_uris = s_loopback,
                grant_types = s_user,
                response_types = (string[])["code"],
                token_endpoint_auth_method = "none",
            },
        };
        await using var scene = await SignInScene.OpenAsync(chromium, new { documents = document });

        (await SignInAsync(scene, "--client-metadata-url", DocumentUrl)).Text("client_id").ShouldBe(DocumentUrl);

        (await scene.Server.SeenAsync()).Registrations.ShouldBeEmpty();
    }

    [Theory, InlineData("variable"), InlineData("file"), InlineData("option")]
    public async Task A_machine_signs_in_with_its_secret(string source)
    {
        await using var scene = await SignInScene.OpenAsync(chromium, Known(Machine("robot", "client_secret_basic", Secret)));
        if (source == "variable")
        {
            scene.Set("MCP_PROXY_CLIENT_SECRET", Secret);
        }

        var client = scene.Client(["--client-credentials", "--client-id", "robot", .. source switch
        {
            "file" => ["--client-secret", $"@{await WriteAsync(scene, "secret", Secret)}"],
            "option" => ["--client-secret", Secret],
            _ => s_none,
        }]);

        await ShouldServeAsync(scene, client, "robot");
    }

    [Theory, InlineData("ES256"), InlineData("RS256")]
    public async Task A_machine_signs_in_with_its_key(string algorithm)
    {
        using var ec = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var rsa = RSA.Create(2048);
        var isEc = algorithm == "ES256";
        await using var scene = await SignInScene.OpenAsync(chromium, Known(Machine("robot", "private_key_jwt", jwk: isEc ? Jwk(ec) : Jwk(rsa))));
        var file = await WriteAsync(scene, "key.pem", isEc ? ec.ExportPkcs8PrivateKeyPem() : rsa.ExportPkcs8PrivateKeyPem());

        await ShouldServeAsync(scene, scene.Client("--client-credentials", "--client-id", "robot", "--client-key", file, "--client-key-id", "key"), "robot");
    }

    [Fact]
    public async Task A_machine_can_be_told_where_its_tokens_come_from()
    {
        await using var scene = await SignInScene.OpenAsync(chromium, Known(Machine("robot", "client_secret_basic", Secret)));
        scene.Set("MCP_PROXY_CLIENT_SECRET", Secret);

        var client = scene.Client("--token-url", $"{scene.Server.Issuer}/token", "--client-id", "robot", "--scope", "mcp:tools", "--resource", scene.Server.Url);

        await ShouldServeAsync(scene, client, "robot");
        (await scene.Server.SeenAsync()).OfKind("metadata").ShouldNotContain(one => one.Text("path").Contains("authorization-server", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_machine_with_a_wrong_secret_is_told_so()
    {
        await using var scene = await SignInScene.OpenAsync(chromium, Known(Machine("robot", "client_secret_basic", Secret)));
        var login = scene.Run("login", "--client-credentials", "--client-id", "robot", "--client-secret", "not the secret");

        (await login.ExitAsync()).ShouldBe(1);

        await login.ErrorLineAsync("invalid_client");
        login.ToString().ShouldNotContain("not the secret");
    }

    private static async Task<JsonElement> SignInAsync(SignInScene scene, params string[] options)
    {
        var client = scene.Client(options);
        var call = client.WhoAmIAsync();
        await scene.SignInAsync(await scene.BrowsedAsync());
        var who = await call;
        who.Text("sub").ShouldBe("ada");
        return who;
    }

    /// <summary>Nobody is asked anything, also when the token has ended.</summary>
    private static async Task ShouldServeAsync(SignInScene scene, Client client, string id)
    {
        var who = await client.WhoAmIAsync();
        who.Text("client_id").ShouldBe(id);
        who.Text("aud").ShouldBe(scene.Server.Url);

        await scene.Server.ExpireAsync();
        (await client.WhoAmIAsync()).Text("jti").ShouldNotBe(who.Text("jti"));

        scene.Browsed.ShouldBeEmpty();
        var seen = await scene.Server.SeenAsync();
        seen.Registrations.ShouldBeEmpty();
        seen.Grants("client_credentials").Count.ShouldBe(2);
        seen.Grants("client_credentials").Select(grant => grant.GetProperty("params").Text("resource")).ShouldAllBe(resource => resource == scene.Server.Url);
    }

    private static object Known(Dictionary<string, object> client) => new { registration = false, clients = new[] { client } };

    private static Dictionary<string, object> User(string id, string method, string? secret = null, object? jwk = null) =>
        Client(id, method, secret, jwk, s_user, ["code"], s_loopback);

    private static Dictionary<string, object> Machine(string id, string method, string? secret = null, object? jwk = null) =>
        Client(id, method, secret, jwk, s_machine, s_none, s_none);

    private static Dictionary<string, object> Client(
        string id, string method, string? secret, object? jwk, string[] grantTypes, string[] responseTypes, string[] redirectUris)
    {
        var client = new Dictionary<string, object>(StringComparer.Ordinal)
        {
            ["client_id"] = id,
            ["application_type"] = "native",
            ["token_endpoint_auth_method"] = method,
            ["grant_types"] = grantTypes,
            ["response_types"] = responseTypes,
            ["redirect_uris"] = redirectUris,
        };
        if (secret is not null)
        {
            client["client_secret"] = secret;
        }

        if (jwk is not null)
        {
            client["jwks"] = new { keys = new[] { jwk } };
        }

        return client;
    }

    private static object Jwk(ECDsa key)
    {
        var point = key.ExportParameters(includePrivateParameters: false).Q;
        return new { kty = "EC", crv = "P-256", kid = "key", use = "sig", x = Encode(point.X!), y = Encode(point.Y!) };
    }

    private static object Jwk(RSA key)
    {
        var parameters = key.ExportParameters(includePrivateParameters: false);
        return new { kty = "RSA", kid = "key", use = "sig", n = Encode(parameters.Modulus!), e = Encode(parameters.Exponent!) };
    }

    private static string Encode(byte[] bytes) => System.Buffers.Text.Base64Url.EncodeToString(bytes);

    private static async Task<string> WriteAsync(SignInScene scene, string name, string content)
    {
        var file = scene.InDirectory(name);
        await File.WriteAllTextAsync(file, content);
        return file;
    }
}
