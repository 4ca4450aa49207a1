using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Xunit;

namespace McpProxy.NodePeers.Tests.Scenery;

/// <summary>A process of the scene: the proxy, or a script that says on its output what it sees.</summary>
internal sealed class Peer : IAsyncDisposable
{
    /// <summary>Longer than the patience of the scripts, which know better what they waited for.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);
    private const int MaxShownLine = 1000;

    private readonly Lock _gate = new();
    private readonly List<string> _transcript = [];
    private readonly List<Said> _said = [];
    private readonly List<string> _errorLines = [];
    private readonly Process _process;
    private readonly Task _ended;
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private Peer(string name, Process process)
    {
        Name = name;
        _process = process;
        _ended = RunAsync();
    }

    public string Name { get; }

    public int Id => _process.Id;

    public static Peer Start(string name, string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string> environment)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,

            // Whatever the locale of the machine says.
            StandardOutputEncoding = Encoding.UTF8,
            StandardErrorEncoding = Encoding.UTF8,
        };
        foreach (var (variable, value) in environment)
        {
            start.Environment[variable] = value;
        }

        return new(name, Process.Start(start)!);
    }

    /// <summary>The first thing of a kind that the script says.</summary>
    public async Task<JsonElement> EventAsync(string kind, Func<JsonElement, bool>? matches = null) =>
        (await FindAsync($"says \"{kind}\"", () => _said.Find(said => said.Kind == kind && (matches is null || matches(said.Body))))).Body;

    /// <summary>What the script saw in one of its steps.</summary>
    public async Task<JsonElement> StepAsync(string name)
    {
        var step = await EventAsync("step", said => said.GetProperty("name").GetString() == name);
        if (step.TryGetProperty("error", out var error))
        {
            Assert.Fail($"{Name} failed in its step \"{name}\": {error.GetProperty("stack").GetString()}{this}");
        }

        return step.GetProperty("saw");
    }

    /// <summary>The process of the server that the script has reached; it says so when it is where the test wants to have it.</summary>
    public async Task<int> ServerAsync() => (await EventAsync("ready")).GetProperty("server").GetInt32();

    /// <summary>The first line of standard error that has a text in it.</summary>
    public Task<string> ErrorLineAsync(string text) => FindAsync($"writes \"{text}\" to standard error", () => _errorLines.Find(line => line.Contains(text, StringComparison.Ordinal)));

    /// <summary>Tells the script to go on.</summary>
    public async Task TellAsync(string word)
    {
        await _process.StandardInput.WriteLineAsync(word);
        await _process.StandardInput.FlushAsync();
    }

    /// <summary>The exit code.</summary>
    public async Task<int> ExitAsync()
    {
        try
        {
            await _ended.WaitAsync(s_patience);
        }
        catch (TimeoutException)
        {
            Assert.Fail($"{Name} did not end within {s_patience.TotalSeconds} s{this}");
        }

        return _process.ExitCode;
    }

    /// <summary>Ends it the way a crash does.</summary>
    public void Kill() => _process.Kill();

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
        }

        await Task.WhenAny(_ended, Task.Delay(TimeSpan.FromSeconds(5)));
        _process.Dispose();
    }

    /// <summary>What it wrote, to follow a message.</summary>
    public override string ToString()
    {
        lock (_gate)
        {
            return $"\n--- {Name} wrote:\n{string.Join('\n', _transcript)}\n";
        }
    }

    private async Task RunAsync()
    {
        await Task.WhenAll(ReadAsync(_process.StandardOutput, TakeOutput), ReadAsync(_process.StandardError, _errorLines.Add), _process.WaitForExitAsync());
        lock (_gate)
        {
            _transcript.Add($"(ended with exit code {_process.ExitCode})");
            Changed();
        }
    }

    private async Task ReadAsync(StreamReader reader, Action<string> take)
    {
        while (await reader.ReadLineAsync() is { } line)
        {
            lock (_gate)
            {
                _transcript.Add(line.Length > MaxShownLine ? $"{line[..MaxShownLine]}…" : line);
                take(line);
                Changed();
            }
        }
    }

    private void TakeOutput(string line)
    {
        // Others than our scripts print what they like.
        if (!line.StartsWith("{\"event\":", StringComparison.Ordinal))
        {
            return;
        }

        using var said = JsonDocument.Parse(line);
        _said.Add(new(said.RootElement.GetProperty("event").GetString()!, said.RootElement.Clone()));
    }

    private void Changed()
    {
        _changed.TrySetResult();
        _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    private async Task<T> FindAsync<T>(string what, Func<T?> find)
        where T : class
    {
        using var timeout = new CancellationTokenSource(s_patience);
        while (true)
        {
            Task changed;
            bool ended;
            lock (_gate)
            {
                ended = _ended.IsCompleted;
                if (find() is { } found)
                {
                    return found;
                }

                changed = _changed.Task;
            }

            if (ended)
            {
                Assert.Fail($"{Name} ended before it {what}{this}");
            }

            try
            {
                await Task.WhenAny(changed, _ended).WaitAsync(timeout.Token);
            }
            catch (OperationCanceledException)
            {
                Assert.Fail($"waited {s_patience.TotalSeconds} s until {Name} {what}{this}");
            }
        }
    }

    private sealed record Said(string Kind, JsonElement Body);
}
