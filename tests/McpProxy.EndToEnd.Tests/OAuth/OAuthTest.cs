using System.Net;
using System.Net.Sockets;
using McpProxy.EndToEnd.Tests.OAuth.Servers;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.OAuth;

/// <summary>A test with a server that wants a token, the authorization server that has it, and a user with a home and a browser.</summary>
public abstract class OAuthTest(ITestOutputHelper output) : EndToEndTest(output)
{
    protected AuthorizationServer Authorization { get; private set; } = null!;

    protected ProtectedServer Server { get; private set; } = null!;

    protected Browser Browser { get; private set; } = null!;

    /// <summary>The user's home, which is the test's alone.</summary>
    protected string Home { get; private set; } = "";

    /// <summary>What programs are told to keep their credentials under.</summary>
    protected string Store => Path.Combine(Home, "auth");

    protected string Url => Server.At(Transport.StreamableHttp);

    public override async ValueTask InitializeAsync()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "the stand-in browser is a shell script");
        Home = Own(new TemporaryFolder()).Path;
        Authorization = Own(await AuthorizationServer.StartNewAsync());
        Watch("the authorization server", Authorization.Text);
        Server = Own(await ProtectedServer.StartNewAsync(Authorization));
        Watch("the MCP server", Server.Text);
        Browser = Own(await Browser.InstallAsync(Path.Combine(Home, "browser")));
    }

    /// <summary>Starts the program in front of the server, for a client that speaks to its standard input.</summary>
    protected StdioSession Start(params string[] options) => Start(Era.Legacy, Url, null, options);

    /// <inheritdoc cref="Start(string[])"/>
    protected StdioSession Start(Era era, string url, IReadOnlyDictionary<string, string?>? environment, params string[] options) =>
        new(Run([url, .. options.Contains("--log-level") ? (string[])[] : ["--debug"], .. options], environment), era);

    /// <summary>Runs the program as this test's user would.</summary>
    protected Proxy Run(IEnumerable<string> words, IReadOnlyDictionary<string, string?>? environment = null)
    {
        var variables = new Dictionary<string, string?>(StringComparer.Ordinal)
        {
            ["HOME"] = Home,
            ["MCP_REMOTE_CONFIG_DIR"] = Store,
            ["BROWSER"] = Browser.Program,

            // Neither a keychain nor a setting of the developer's.
            ["DBUS_SESSION_BUS_ADDRESS"] = null,
            ["XDG_RUNTIME_DIR"] = null,
            ["XDG_CONFIG_HOME"] = null,
            ["XDG_DATA_HOME"] = null,
            ["MCP_PROXY_CLIENT_SECRET"] = null,
        };
        foreach (var (name, value) in environment ?? new Dictionary<string, string?>(StringComparer.Ordinal))
        {
            variables[name] = value;
        }

        return Own(Proxy.Start(words, variables));
    }

    /// <summary>Signs in with a program of its own, which ends then; the browser must sign in at once.</summary>
    protected async Task SignInBeforehandAsync(params string[] options)
    {
        var session = Start(options);
        await session.IntroduceAsync();
        (await session.CallAsync("echo", "before")).ShouldBe("before");
        await session.EndAsync();
    }

    /// <summary>Runs <c>login</c> where it must fail before anybody is asked anything.</summary>
    /// <returns>What it said.</returns>
    protected async Task<string> RefusedLoginAsync(params string[] options)
    {
        var login = Run(["login", Url, .. options]);
        (await login.ExitAsync(TimeSpan.FromSeconds(60))).ShouldBe(1);
        Browser.Opened.ShouldBe(0, "no page may open for a sign-in that cannot be");
        Authorization.To(Endpoint.Authorization).ShouldBeEmpty();
        var said = string.Join('\n', login.Errors.Lines);
        said.ShouldNotContain("   at ", Case.Sensitive, "a stack trace explains nothing to a user");
        return said;
    }

    /// <summary>Sees that there was one of everything that a sign-in takes.</summary>
    protected void ShouldHaveSignedInOnce(int registrations = 1)
    {
        Browser.Opened.ShouldBe(1, "pages opened");
        Authorization.To(Endpoint.Registration).Count.ShouldBe(registrations, "registrations");
        Authorization.TokenRequests("authorization_code").Count.ShouldBe(1, "codes exchanged");
    }

    /// <summary>Writes a file into the user's home.</summary>
    /// <returns>Its path.</returns>
    protected string Write(string name, string content)
    {
        var path = Path.Combine(Home, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, content);
        return path;
    }

    /// <summary>A port that nobody listens at.</summary>
    protected static int UnusedPort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>The variables of a program, besides the usual ones.</summary>
    protected static Dictionary<string, string?> With(string name, string? value) => new(StringComparer.Ordinal) { [name] = value };

    private sealed class TemporaryFolder : IAsyncDisposable
    {
        public string Path { get; } = Directory.CreateTempSubdirectory("mcp-proxy-oauth-").FullName;

        public ValueTask DisposeAsync()
        {
            Directory.Delete(Path, recursive: true);
            return ValueTask.CompletedTask;
        }
    }
}
