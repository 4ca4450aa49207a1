using McpProxy.NodePeers.Tests.Scenery;
using Microsoft.Playwright;
using Xunit;

namespace McpProxy.NodePeers.Tests.OAuth;

/// <summary>A protected server, a user with a browser, and proxies that share what they store.</summary>
internal sealed class SignInScene : IAsyncDisposable
{
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("mcp-proxy-oauth-");
    private readonly Scene _scene = new();
    private readonly Chromium _chromium;
    private readonly string _browsed;
    private readonly Dictionary<string, string> _environment;
    private Task<IBrowserContext>? _user;

    private SignInScene(Chromium chromium)
    {
        _chromium = chromium;
        _browsed = InDirectory("browsed");
        var browser = NodePackages.Script("browser.sh");
        _environment = new(StringComparer.Ordinal)
        {
            ["MCP_REMOTE_CONFIG_DIR"] = StoreDirectory,
            ["BROWSER"] = browser,
            ["MCP_PROXY_TEST_BROWSED"] = _browsed,
        };
    }

    public AuthorizationServer Server { get; private set; } = null!;

    /// <summary>Where the proxies keep what they know.</summary>
    public string StoreDirectory => InDirectory("store");

    /// <summary>The addresses that the proxies have opened the browser with.</summary>
    public string[] Browsed => File.Exists(_browsed) ? File.ReadAllLines(_browsed) : [];

    public static async Task<SignInScene> OpenAsync(Chromium chromium, object? options = null)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "The browser of the tests is a shell script.");
        Chromium.Need();
        AuthorizationServer.Need();
        var scene = new SignInScene(chromium);
        try
        {
            scene.Server = await AuthorizationServer.StartAsync(scene._scene, options ?? new { });
            return scene;
        }
        catch
        {
            await scene.DisposeAsync();
            throw;
        }
    }

    /// <summary>A client that starts its proxy.</summary>
    public Client Client(params IEnumerable<string> options) => StartClient("legacy", options);

    public Client ModernClient(params IEnumerable<string> options) => StartClient("modern", options);

    /// <summary>A client of a proxy that serves HTTP.</summary>
    public Client HttpClient(ServingProxy proxy) => StartClient("legacy", Route.StreamableHttp(proxy.StreamableHttpUrl));

    public Task<ServingProxy> ServeAsync(params IEnumerable<string> options) =>
        ServingProxy.ListeningAsync(_scene.Start("serving proxy", ProxyProgram.Path, [Server.Url, "--port", "0", .. Common(options)], _environment), hasSessions: true);

    /// <summary>A proxy that starts a server and lets in who has signed in.</summary>
    /// <param name="port">Where it serves, so that tokens can be meant for it.</param>
    /// <param name="options">Its options and the server's command.</param>
    public Task<ServingProxy> GuardAsync(int port, params IEnumerable<string> options) => ServingProxy.ListeningAsync(_scene.Start(
        "guarding proxy", ProxyProgram.Path, ["--port", $"{port}", "--base-url", $"http://127.0.0.1:{port}", "--auth-issuer", Server.Issuer, .. options], _environment), hasSessions: true);

    /// <summary>A client that starts its proxy in front of another server.</summary>
    public Client ClientOf(string url, params IEnumerable<string> options) => StartClient("legacy", Route.ThroughProxy([url, .. Common(options)]));

    /// <inheritdoc cref="ClientOf"/>
    public Client ModernClientOf(string url, params IEnumerable<string> options) => StartClient("modern", Route.ThroughProxy([url, .. Common(options)]));

    /// <summary>One of the program's words for the server, such as "login".</summary>
    public Peer Run(string word, params IEnumerable<string> options) =>
        _scene.Start(word, ProxyProgram.Path, [word, Server.Url, .. Common(options)], _environment);

    /// <summary>One of the program's words that need no server.</summary>
    public Peer RunAlone(string word) => _scene.Start(word, ProxyProgram.Path, [word], _environment);

    /// <summary>Something for all programs of the scene to know.</summary>
    public void Set(string variable, string value) => _environment[variable] = value;

    public string InDirectory(string name) => Path.Combine(_directory.FullName, name);

    /// <summary>Waits until a proxy has opened the browser for the first, second... time.</summary>
    public async Task<string> BrowsedAsync(int count = 1)
    {
        using var patience = new CancellationTokenSource(s_patience);
        while (Browsed.Length < count)
        {
            if (patience.IsCancellationRequested)
            {
                Assert.Fail($"the browser was opened {Browsed.Length} times, not {count}, in {s_patience.TotalSeconds} s");
            }

            await Task.Delay(s_look);
        }

        return Browsed[count - 1];
    }

    /// <summary>A new page of the user's browser, which knows where the user is signed in already.</summary>
    public async Task<IPage> NewPageAsync() => await (await (_user ??= _chromium.NewUserAsync())).NewPageAsync();

    /// <summary>Somebody else sits down at the browser.</summary>
    public async Task ChangeUserAsync() => await (await _user!).ClearCookiesAsync();

    /// <summary>The user follows an address to its end, and consents to everything.</summary>
    public async Task<EndPage> SignInAsync(string url, string login = "ada")
    {
        var page = await UserPage.OpenAsync(this, url);
        await page.LogInAsync(login);
        return await page.EndAsync(() => page.ConsentAsync());
    }

    public async ValueTask DisposeAsync()
    {
        if (_user is not null)
        {
            await (await _user).CloseAsync();
        }

        await _scene.DisposeAsync();
        _directory.Delete(recursive: true);
    }

    private Client StartClient(string era, IEnumerable<string> options) => StartClient(era, Route.ThroughProxy([Server.Url, .. Common(options)]));

    private Client StartClient(string era, string route) =>
        new(_scene.Start($"client ({era})", NodePackages.Node, [NodePackages.Script("client-oauth.mjs"), era, route], _environment));

    // The keychain of whoever runs the tests is none of their business.
    private static IEnumerable<string> Common(IEnumerable<string> options) => ["--token-store", "file", .. options];
}
