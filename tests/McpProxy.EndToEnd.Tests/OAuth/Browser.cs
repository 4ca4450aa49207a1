using System.Globalization;
using System.Net;
using System.Text;
using McpProxy.EndToEnd.Tests.OAuth.Servers;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.OAuth;

/// <summary>A page that a program has opened.</summary>
/// <param name="OpenedBy">The id of the process that started the browser.</param>
/// <param name="Url">Its address.</param>
public sealed record Page(int OpenedBy, Uri Url);

/// <summary>Where a sign-in has ended.</summary>
/// <param name="Callback">The address that the authorization server sent the user to.</param>
/// <param name="Status">What that address answered.</param>
/// <param name="Body">The page that the user is left with.</param>
/// <param name="Location">Where the user was sent from there, if anywhere.</param>
public sealed record Visit(Uri Callback, HttpStatusCode Status, string Body, Uri? Location);

/// <summary>Stands in for the user's browser: notes which pages are opened, and plays the user in front of them.</summary>
public sealed class Browser : IAsyncDisposable
{
    /// <summary>How long a user looks at an empty page: it comes when the authorization server has answered, or has not for long enough.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private readonly Lock _gate = new();
    private readonly string _pagesFile;
    private readonly FileSystemWatcher _watcher;
    private readonly HttpClient _http = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, UseProxy = false });
    private readonly List<Task> _visiting = [];
    private int _read;
    private bool _signsInAtOnce;

    private Browser(string folder, string program, string pagesFile)
    {
        Program = program;
        _pagesFile = pagesFile;
        _watcher = new(folder, Path.GetFileName(pagesFile)) { NotifyFilter = NotifyFilters.Size | NotifyFilters.LastWrite | NotifyFilters.FileName };
        _watcher.Changed += (_, _) => ReadPages();
        _watcher.Created += (_, _) => ReadPages();
        _watcher.EnableRaisingEvents = true;
    }

    /// <summary>What <c>$BROWSER</c> is to be.</summary>
    public string Program { get; }

    public EventLog<Page> Pages { get; } = new();

    /// <summary>How many pages were opened up to now.</summary>
    public int Opened
    {
        get
        {
            ReadPages();
            return Pages.All.Count;
        }
    }

    /// <summary>Sign-ins that went through to the end.</summary>
    public EventLog<Visit> Visits { get; } = new();

    public static async Task<Browser> InstallAsync(string folder)
    {
        Directory.CreateDirectory(folder);
        var (program, pages) = (Path.Combine(folder, "browser"), Path.Combine(folder, "pages"));

        // One short write to a file that is open for appending cannot be torn apart by another.
        await File.WriteAllTextAsync(program, $"#!/bin/sh\nprintf '%s %s\\n' \"$PPID\" \"$1\" >> '{pages}'\n");
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }

        return new(folder, program, pages);
    }

    /// <summary>From now on, the user signs in as soon as a page opens.</summary>
    public void SignInAtOnce()
    {
        lock (_gate)
        {
            _signsInAtOnce = true;
        }

        foreach (var page in Pages.All)
        {
            Visit(page);
        }
    }

    /// <summary>The address of a sign-in page in a text.</summary>
    public static Uri UrlIn(string text) =>
        new(text.Split([' ', '"', '<', '>', '\t', '(', ')'], StringSplitOptions.RemoveEmptyEntries).First(IsSignIn));

    /// <summary>Whether a text has the address of a sign-in page.</summary>
    public static bool HasUrl(string text) => text.Split([' ', '"', '<', '>', '\t', '(', ')'], StringSplitOptions.RemoveEmptyEntries).Any(IsSignIn);

    /// <summary>Goes to a page and signs in there.</summary>
    /// <returns>Where the authorization server sends the user.</returns>
    public async Task<Uri> ApproveAsync(Uri page)
    {
        using var answer = await _http.GetAsync(page, TestContext.Current.CancellationToken).Within("the authorization server's page");
        return answer.Headers.Location ?? throw new InvalidOperationException(
            $"{page} does not send the user back: {(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)}");
    }

    /// <summary>Goes to a page, signs in there, and goes where that leads.</summary>
    public async Task<Visit> SignInAsync(Uri page)
    {
        var visit = await FollowAsync(await ApproveAsync(page));
        Visits.Add(visit);
        return visit;
    }

    /// <summary>Goes where an authorization server sends the user.</summary>
    public async Task<Visit> FollowAsync(Uri callback)
    {
        using var answer = await _http.GetAsync(callback, TestContext.Current.CancellationToken).Within("the page at the end of the sign-in", s_patience);
        return new(callback, answer.StatusCode, await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), answer.Headers.Location);
    }

    /// <summary>Goes where an authorization server sends the user, again and again until somebody is there.</summary>
    public async Task<Visit> FollowPatientlyAsync(Uri callback)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        return await Poll().Within($"somebody who listens at {callback.Authority}", TimeSpan.FromSeconds(40));

        async Task<Visit> Poll()
        {
            while (true)
            {
                try
                {
                    return await FollowAsync(callback);
                }
                catch (HttpRequestException)
                {
                    await timer.WaitForNextTickAsync(TestContext.Current.CancellationToken);
                }
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        _watcher.Dispose();
        Task[] visiting;
        lock (_gate)
        {
            visiting = [.. _visiting];
        }

        // Their failures show in what the test waits for.
        await Task.WhenAll(visiting).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        _http.Dispose();
    }

    private static bool IsSignIn(string word) => word.StartsWith("http", StringComparison.Ordinal) && word.Contains("/authorize?", StringComparison.Ordinal);

    private void ReadPages()
    {
        List<Page> opened = [];
        lock (_gate)
        {
            if (!File.Exists(_pagesFile))
            {
                return;
            }

            using var stream = new FileStream(_pagesFile, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            stream.Position = _read;
            var bytes = new byte[stream.Length - _read];
            var text = Encoding.UTF8.GetString(bytes, 0, stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false));
            var whole = text[..(text.LastIndexOf('\n') + 1)];
            _read += Encoding.UTF8.GetByteCount(whole);
            foreach (var words in whole.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' ', 2)))
            {
                var page = new Page(int.Parse(words[0], CultureInfo.InvariantCulture), new(words[1]));
                opened.Add(page);
                Pages.Add(page);
            }

            if (!_signsInAtOnce)
            {
                return;
            }
        }

        opened.ForEach(Visit);
    }

    private void Visit(Page page)
    {
        var visit = Task.Run(() => SignInAsync(page.Url));
        lock (_gate)
        {
            _visiting.Add(visit);
        }
    }
}
