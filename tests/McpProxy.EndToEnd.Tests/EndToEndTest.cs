using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests;

/// <summary>A test that runs programs: they end with it, and when it fails it says what they wrote.</summary>
public abstract class EndToEndTest(ITestOutputHelper output) : IAsyncLifetime
{
    private readonly List<(string Name, OutputLog Log)> _logs = [];
    private readonly Stack<IAsyncDisposable> _owned = new();

    protected static bool HasFailed => TestContext.Current.TestState?.Result != TestResult.Passed;

    public virtual ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public virtual async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        if (HasFailed)
        {
            foreach (var (name, log) in _logs)
            {
                output.WriteLine($"{name}:\n{log}");
            }
        }

        while (_owned.TryPop(out var owned))
        {
            await owned.DisposeAsync();
        }
    }

    /// <summary>Shows what a program writes if the test fails.</summary>
    protected void Watch(string name, OutputLog log) => _logs.Add((name, log));

    /// <summary>Watches a program, and ends it with the test.</summary>
    protected T Own<T>(T owned)
        where T : IAsyncDisposable
    {
        _owned.Push(owned);
        if (owned is RunningProgram program)
        {
            Watch($"standard error of {program.Name}", program.Errors);
        }

        return owned;
    }
}
