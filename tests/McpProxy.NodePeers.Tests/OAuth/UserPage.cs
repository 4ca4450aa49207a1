using McpProxy.NodePeers.Tests.Scenery;
using Microsoft.Playwright;

namespace McpProxy.NodePeers.Tests.OAuth;

/// <summary>The user at a page of the browser.</summary>
internal sealed class UserPage
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private readonly List<string> _requests = [];
    private readonly List<(string Where, string What)> _complaints = [];

    private UserPage(IPage page)
    {
        Page = page;
        page.Request += (_, request) => _requests.Add(request.Url);
        page.PageError += (_, error) => _complaints.Add((page.Url, error));
        page.Console += (_, message) =>
        {
            if (message.Type is "error" or "warning")
            {
                _complaints.Add((message.Location, message.Text));
            }
        };
    }

    public IPage Page { get; }

    public static async Task<UserPage> OpenAsync(SignInScene scene, string url)
    {
        var page = new UserPage(await scene.NewPageAsync());
        await page.Page.GotoAsync(url);
        return page;
    }

    public async Task LogInAsync(string login)
    {
        await Page.GetByPlaceholder("Enter any login").FillAsync(login);
        await Page.GetByPlaceholder("and password").FillAsync("secret");
        await Page.GetByRole(AriaRole.Button, new() { Name = "Sign-in" }).ClickAsync();
    }

    public Task ConsentAsync() => Page.GetByRole(AriaRole.Button, new() { Name = "Continue" }).ClickAsync();

    public Task CancelAsync() => Page.GetByRole(AriaRole.Link, new() { Name = "[ Cancel ]" }).ClickAsync();

    /// <summary>Does what leads to the page that the proxy shows at the end.</summary>
    public async Task<EndPage> EndAsync(Func<Task> act, string path = "/oauth/callback")
    {
        var response = await Page.RunAndWaitForResponseAsync(act, response => new Uri(response.Url).AbsolutePath == path);
        return await ArriveAsync(response);
    }

    /// <summary>Does what leads back to the proxy, but keeps the browser from going there, as on another machine.</summary>
    /// <returns>The address that it would have opened.</returns>
    public async Task<string> InterceptAsync(Func<Task> act)
    {
        // Routes of Playwright do not see redirections.
        var session = await Page.Context.NewCDPSessionAsync(Page);
        var address = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        session.Event("Fetch.requestPaused").OnEvent += (_, paused) =>
        {
            _ = session.SendAsync("Fetch.failRequest", Arguments(("requestId", paused!.Value.Text("requestId")), ("errorReason", "ConnectionRefused")));
            address.TrySetResult(paused.Value.GetProperty("request").Text("url"));
        };
        await session.SendAsync("Fetch.enable", Arguments(("patterns", new[] { new { urlPattern = "*/oauth/callback?*" } })));
        await act();
        var intercepted = await address.Task.WaitAsync(s_patience);
        await session.SendAsync("Fetch.disable");
        return intercepted;
    }

    /// <summary>Opens an address of the proxy's own.</summary>
    public async Task<EndPage> VisitAsync(string url) => await ArriveAsync((await Page.GotoAsync(url))!);

    private async Task<EndPage> ArriveAsync(IResponse response)
    {
        // A heading that only the proxy's pages have in this place: the page before may still be there.
        await Assertions.Expect(Page.Locator("main > h1")).ToBeVisibleAsync();
        var origin = new Uri(response.Url).GetLeftPart(UriPartial.Authority);
        var index = _requests.LastIndexOf(response.Url);
        return new(
            Page,
            response.Status,
            await response.AllHeadersAsync(),
            await Page.TitleAsync(),
            await Page.Locator("body").InnerTextAsync(),
            await Page.ContentAsync(),
            [.. _requests.Skip(index + 1).Where(url => !url.StartsWith(origin, StringComparison.Ordinal) && !url.StartsWith("data:", StringComparison.Ordinal))],
            [.. _complaints.Where(complaint => complaint.Where.StartsWith(origin, StringComparison.Ordinal) && !IsStatus(complaint.What)).Select(complaint => complaint.What)]);
    }

    private static Dictionary<string, object> Arguments(params ReadOnlySpan<(string Name, object Value)> arguments)
    {
        var named = new Dictionary<string, object>(StringComparer.Ordinal);
        foreach (var (name, value) in arguments)
        {
            named.Add(name, value);
        }

        return named;
    }

    private static bool IsStatus(string complaint) => complaint.StartsWith("Failed to load resource: the server responded with a status of 4", StringComparison.Ordinal);
}
