using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.OAuth.Servers;

namespace McpProxy.EndToEnd.Tests.OAuth;

/// <summary>What is kept for the next start, and who may read it.</summary>
public sealed class StoreTests(ITestOutputHelper output) : OAuthTest(output)
{
    private string OwnStore => Path.Combine(Store, "mcp-proxy");

    [Fact]
    public async Task Profiles_are_separate_accounts()
    {
        Browser.SignInAtOnce();
        (await WhoAsync()).ShouldBe("ann");
        Authorization.Account = "bob";
        (await WhoAsync("--auth-profile", "work")).ShouldBe("bob");

        (await WhoAsync()).ShouldBe("ann");
        (await WhoAsync("--auth-profile", "work")).ShouldBe("bob");

        Browser.Opened.ShouldBe(2);
    }

    [Fact]
    public async Task Servers_are_separate_accounts()
    {
        Browser.SignInAtOnce();
        await SignInBeforehandAsync();
        var other = Own(await ProtectedServer.StartNewAsync(Authorization));
        Authorization.Account = "bob";

        var session = Start(Era.Legacy, other.At(Transport.StreamableHttp), null);
        await session.IntroduceAsync();

        (await session.CallAsync("who")).ShouldBe("bob");
        other.Requests.All.ShouldAllBe(request => request.Bearer == null || request.Bearer != Server.Entered[0].Bearer, "a token goes to the server that it is for");
    }

    [Fact]
    public async Task Only_the_owner_may_read()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "there are no such modes");
        Browser.SignInAtOnce();
        var session = Start("--auth-wait", "120");
        await session.IntroduceAsync();
        await session.CallAsync("echo", "x");
        ShouldBePrivate();
        Authorization.ExpireAccessTokens();
        await session.CallAsync("echo", "x");
        ShouldBePrivate();
        await session.EndAsync();

        Directory.EnumerateFiles(OwnStore, "*", SearchOption.AllDirectories).ShouldNotBeEmpty();
        Directory.EnumerateFiles(OwnStore, "*.tmp*", SearchOption.AllDirectories).ShouldBeEmpty("nothing half written is left behind");
    }

    [Fact]
    public async Task Memory_is_enough_for_those_who_want_no_files()
    {
        Browser.SignInAtOnce();

        await SignInBeforehandAsync("--token-store", "memory");
        await SignInBeforehandAsync("--token-store", "memory");

        Browser.Opened.ShouldBe(2);
        var kept = Directory.Exists(Store) ? Directory.EnumerateFiles(Store, "*", SearchOption.AllDirectories).Select(File.ReadAllText).ToList() : [];
        kept.ShouldAllBe(content => !Authorization.Secrets.Any(secret => content.Contains(secret, StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Broken_file_is_named_and_costs_one_sign_in()
    {
        Browser.SignInAtOnce();
        await SignInBeforehandAsync();
        var files = Directory.GetFiles(OwnStore, "*.json", SearchOption.AllDirectories);
        files.ShouldNotBeEmpty();
        foreach (var file in files)
        {
            await File.WriteAllTextAsync(file, "{ \"access_token\": \"trunc", TestContext.Current.CancellationToken);
        }

        var session = Start("--log-level", "info");
        await session.IntroduceAsync();
        (await session.CallAsync("echo", "x")).ShouldBe("x");

        session.Proxy.Errors.Lines.ShouldContain(line => files.Any(file => line.Contains(file, StringComparison.Ordinal)));
        Browser.Opened.ShouldBe(2);
        await session.EndAsync();
        await SignInBeforehandAsync();
        Browser.Opened.ShouldBe(2, "the file was replaced by a good one");
    }

    [Fact]
    public async Task Folder_that_cannot_be_written_is_named_and_stops_nobody()
    {
        Browser.SignInAtOnce();
        Write("auth", "a file where the folder should be");

        var session = Start("--log-level", "info");
        await session.IntroduceAsync();

        (await session.CallAsync("echo", "x")).ShouldBe("x");
        session.Proxy.Errors.Lines.ShouldContain(line => line.Contains(Store, StringComparison.Ordinal));
        Browser.Opened.ShouldBe(1);
    }

    [Theory]
    [InlineData("mcp-remote-v1")]
    [InlineData("mcp-remote-0.1.29")]
    public async Task Tokens_of_mcp_remote_are_taken_over(string folder)
    {
        var client = Authorization.Add(new("imported") { RedirectUris = [LocalRedirect(UnusedPort())] });
        var (access, refresh) = Authorization.IssueTo(client.Id, Url);
        WriteRemote(folder, client, new() { ["access_token"] = access, ["token_type"] = "Bearer", ["refresh_token"] = refresh, ["expires_in"] = 3600 });

        await SignInBeforehandAsync();
        Authorization.Requests.All.ShouldBeEmpty("the token is good");
        Authorization.ExpireAccessTokens();
        await SignInBeforehandAsync();

        var request = Authorization.TokenRequests("refresh_token").Single();
        (request.Form["refresh_token"], request.Form["client_id"]).ShouldBe((refresh, client.Id));
        Browser.Opened.ShouldBe(0);
        Authorization.ExpireAccessTokens();
        await SignInBeforehandAsync();
        Authorization.Reuses.ShouldBe(0, "what was taken over is not taken over again");
    }

    [Fact]
    public async Task Expiry_in_the_store_of_mcp_remote_counts()
    {
        var client = Authorization.Add(new("imported") { RedirectUris = [LocalRedirect(UnusedPort())] });
        var (access, refresh) = Authorization.IssueTo(client.Id, Url);
        WriteRemote("mcp-remote-v1", client, new()
        {
            ["access_token"] = access,
            ["token_type"] = "Bearer",
            ["refresh_token"] = refresh,
            ["expires_in"] = 3600,
            ["expires_at"] = DateTimeOffset.UtcNow.AddSeconds(-5).ToUnixTimeMilliseconds(),
        });

        await SignInBeforehandAsync();

        Authorization.TokenRequests("refresh_token").Count.ShouldBe(1);
        Server.Entered.ShouldAllBe(request => request.Bearer != access);
        Browser.Opened.ShouldBe(0);
    }

    [Fact]
    public async Task Registration_of_mcp_remote_outlives_its_tokens()
    {
        Browser.SignInAtOnce();
        var redirect = LocalRedirect(UnusedPort());
        WriteEndedRemote(redirect);

        await SignInBeforehandAsync();

        var page = Authorization.To(Endpoint.Authorization).Single().Query;
        (page["client_id"], page["redirect_uri"]).ShouldBe(("imported", redirect));
        ShouldHaveSignedInOnce(registrations: 0);
    }

    [Fact]
    public async Task Registration_with_a_port_that_browsers_block_is_replaced()
    {
        Browser.SignInAtOnce();
        WriteEndedRemote(LocalRedirect(6000));

        await SignInBeforehandAsync();

        var page = Authorization.To(Endpoint.Authorization).Single().Query;
        page["client_id"].ShouldNotBe("imported");
        new Uri(page["redirect_uri"]).Port.ShouldNotBe(6000);
        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task Newest_folder_of_mcp_remote_counts()
    {
        var client = Authorization.Add(new("imported") { RedirectUris = [LocalRedirect(UnusedPort())] });
        foreach (var (folder, account) in new[] { ("mcp-remote-0.1.9", "old"), ("mcp-remote-0.1.29", "new") })
        {
            Authorization.Account = account;
            var (access, refresh) = Authorization.IssueTo(client.Id, Url);
            WriteRemote(folder, client, new() { ["access_token"] = access, ["token_type"] = "Bearer", ["refresh_token"] = refresh, ["expires_in"] = 3600 });
        }

        (await WhoAsync()).ShouldBe("new");
    }

    private static string LocalRedirect(int port) => string.Create(CultureInfo.InvariantCulture, $"http://localhost:{port}/oauth/callback");

    private async Task<string> WhoAsync(params string[] options)
    {
        var session = Start(options);
        await session.IntroduceAsync();
        var who = await session.CallAsync("who");
        await session.EndAsync();
        return who;
    }

    /// <summary>A sign-in of mcp-remote's of which only the registration is still good.</summary>
    private void WriteEndedRemote(string redirect)
    {
        var client = Authorization.Add(new("imported") { RedirectUris = [redirect] });
        var (access, refresh) = Authorization.IssueTo(client.Id, Url);
        WriteRemote("mcp-remote-v1", client, new() { ["access_token"] = access, ["token_type"] = "Bearer", ["refresh_token"] = refresh, ["expires_in"] = 3600 });
        Authorization.RevokeAll();
    }

    private void WriteRemote(string folder, OAuthClient client, JsonObject? tokens)
    {
#pragma warning disable CA5351 // The name that mcp-remote gives its files
        var hash = Convert.ToHexStringLower(MD5.HashData(Encoding.UTF8.GetBytes(Url)));
#pragma warning restore CA5351
        Write($"auth/{folder}/{hash}_client_info.json", new JsonObject { ["client_id"] = client.Id, ["redirect_uris"] = new JsonArray([.. client.RedirectUris]) }.ToJsonString());
        if (tokens is not null)
        {
            Write($"auth/{folder}/{hash}_tokens.json", tokens.ToJsonString());
        }
    }

    private void ShouldBePrivate()
    {
        if (OperatingSystem.IsWindows())
        {
            return;
        }

        foreach (var folder in Directory.EnumerateDirectories(OwnStore, "*", SearchOption.AllDirectories).Append(OwnStore))
        {
            File.GetUnixFileMode(folder).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, folder);
        }

        foreach (var file in Directory.EnumerateFiles(OwnStore, "*", SearchOption.AllDirectories))
        {
            File.GetUnixFileMode(file).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite, file);
        }
    }
}
