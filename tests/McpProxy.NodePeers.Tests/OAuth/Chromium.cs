using McpProxy.NodePeers.Tests.OAuth;
using McpProxy.NodePeers.Tests.Scenery;
using Microsoft.Playwright;
using Xunit;

[assembly: AssemblyFixture(typeof(Chromium))]

namespace McpProxy.NodePeers.Tests.OAuth;

/// <summary>A browser without a screen, which all tests share; it starts when the first of them needs it.</summary>
public sealed class Chromium : IAsyncDisposable
{
    private static readonly string? s_program = Environment.GetEnvironmentVariable("CHROMIUM") is { Length: > 0 } given
        ? given
        : Requirement.FindProgram("chromium", "/usr/bin", "/snap/bin") ?? Requirement.FindProgram("google-chrome");

    private static readonly string[] s_arguments =
    [
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",

        // Pages that want something from the internet do not get it, nor wait for it.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    ];

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private readonly Lock _gate = new();
    private IPlaywright? _driver;
    private Task<IBrowser>? _browser;

    /// <summary>Skips the test where there is no browser.</summary>
    public static void Need() =>
        Requirement.Need(File.Exists(s_program), "Chromium is not installed: `apt-get install chromium`, or name one in the variable CHROMIUM");

    /// <summary>A user of the browser who has never signed in anywhere.</summary>
    public async Task<IBrowserContext> NewUserAsync() => await (await BrowserAsync()).NewContextAsync(new() { ViewportSize = new() { Width = 1000, Height = 600 } });

    public async ValueTask DisposeAsync()
    {
        if (_browser is not null)
        {
            await (await _browser).DisposeAsync();
        }

        _driver?.Dispose();
    }

    private Task<IBrowser> BrowserAsync()
    {
        lock (_gate)
        {
            return _browser ??= LaunchAsync();
        }
    }

    private async Task<IBrowser> LaunchAsync()
    {
        // As patient as with all else: the first page of a browser that has only just started may take its time.
        Assertions.SetDefaultExpectTimeout((float)s_patience.TotalMilliseconds);
        _driver = await Playwright.CreateAsync();
        return await _driver.Chromium.LaunchAsync(new() { ExecutablePath = s_program, ChromiumSandbox = false, Args = s_arguments });
    }
}
