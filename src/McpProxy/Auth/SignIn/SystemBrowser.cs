using System.ComponentModel;
using System.Diagnostics;
using McpProxy.Transports.Http;
using McpProxy.Transports.Stdio;

namespace McpProxy.Auth.SignIn;

/// <summary>Opens a page in the user's browser. No shell takes part, and nothing but http and https URLs is opened.</summary>
internal sealed class SystemBrowser : IBrowser
{
    public async Task<string?> OpenAsync(Uri url, CancellationToken cancellationToken)
    {
        if (url.Scheme is not ("http" or "https"))
        {
            return "it is no http URL";
        }

        if (OperatingSystem.IsWindows())
        {
            return OpenOnWindows(url);
        }

        var environment = Environment.GetEnvironmentVariables().Cast<System.Collections.DictionaryEntry>()
            .ToDictionary(entry => (string)entry.Key, entry => (string?)entry.Value ?? "", StringComparer.Ordinal);
        RuntimeTuning.RemoveFrom(environment);
        var failure = "there is no program to open it with (xdg-open, or the one that BROWSER names)";
        foreach (var candidate in Candidates(environment))
        {
            if (CommandResolver.Resolve(candidate, environment) is { } file)
            {
                failure = await StartAsync(file, url, environment, cancellationToken);
                if (failure is null)
                {
                    return null;
                }
            }
        }

        return failure;
    }

    private static IEnumerable<string> Candidates(Dictionary<string, string> environment)
    {
        if (environment.TryGetValue("BROWSER", out var list))
        {
            foreach (var command in list.Split(':', StringSplitOptions.RemoveEmptyEntries))
            {
                // "%s" marks where the URL goes in programs that ask for it; ours is always the one argument.
                yield return command.Replace("%s", "", StringComparison.Ordinal).Trim();
            }
        }

        if (OperatingSystem.IsMacOS())
        {
            yield return "/usr/bin/open";
            yield break;
        }

        // wslview reaches the browser of the Windows around a WSL.
        yield return "xdg-open";
        yield return "wslview";
    }

    private static async Task<string?> StartAsync(string file, Uri url, Dictionary<string, string> environment, CancellationToken cancellationToken)
    {
        // A browser that was not running stays: only one that gives up at once has failed.
        var patience = TimeSpan.FromSeconds(3);
        try
        {
            if (OperatingSystem.IsWindows())
            {
                return null;
            }

            await using var opener = PosixChildProcess.StartDetached(file, new() { Command = file, Arguments = [url.AbsoluteUri] }, environment);
            await Task.WhenAny(opener.Exited, Task.Delay(patience, cancellationToken));
            return opener.Exited is { IsCompleted: true, Result: not 0 and var code } ? $"{Path.GetFileName(file)} ended with code {code}" : null;
        }
        catch (ChildStartException e)
        {
            return e.Message;
        }
    }

    private static string? OpenOnWindows(Uri url)
    {
        try
        {
            using var opener = Process.Start(new ProcessStartInfo(url.AbsoluteUri) { UseShellExecute = true });
            return null;
        }
        catch (Exception e) when (e is Win32Exception or InvalidOperationException)
        {
            return e.Message;
        }
    }
}
