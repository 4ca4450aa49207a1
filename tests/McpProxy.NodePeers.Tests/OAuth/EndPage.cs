using McpProxy.NodePeers.Tests.Scenery;
using Microsoft.Playwright;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests.OAuth;

/// <summary>What the proxy shows in the browser when a sign-in is over.</summary>
internal sealed record EndPage(
    IPage Page,
    int Status,
    IReadOnlyDictionary<string, string> Headers,
    string Title,
    string Text,
    string Html,
    IReadOnlyList<string> RequestsElsewhere,
    IReadOnlyList<string> Complaints)
{
    private static readonly string s_directory = Path.GetFullPath(Path.Combine(ProxyProgram.PeersDirectory, "..", "..", "..", "artifacts", "screenshots"));

    /// <summary>Stands on its own, is not kept anywhere, and tells nobody what the address was.</summary>
    public void ShouldBeSelfContained()
    {
        Headers["content-type"].ShouldStartWith("text/html");
        Headers["cache-control"].ShouldContain("no-store");
        Title.ShouldNotBeNullOrWhiteSpace();
        RequestsElsewhere.ShouldBeEmpty();
        Complaints.ShouldBeEmpty();
    }

    /// <summary>Leaves a picture of it in <c>artifacts/screenshots</c>, in both colour schemes.</summary>
    public async Task ShootAsync(string name)
    {
        foreach (var scheme in new[] { ColorScheme.Light, ColorScheme.Dark })
        {
            await Page.EmulateMediaAsync(new() { ColorScheme = scheme });
            var file = $"{name}-{(scheme == ColorScheme.Dark ? "dark" : "light")}.png";
            var picture = await Page.ScreenshotAsync(new() { Path = Path.Combine(s_directory, file) });
            TestContext.Current.AddAttachment(file, picture, "image/png");
        }
    }
}
