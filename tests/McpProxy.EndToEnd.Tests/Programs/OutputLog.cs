namespace McpProxy.EndToEnd.Tests.Programs;

/// <summary>The lines that a program has written to one of its outputs.</summary>
public sealed class OutputLog
{
    private readonly Lock _gate = new();
    private readonly List<string> _lines = [];
    private readonly List<(Predicate<string> IsWanted, TaskCompletionSource<string> Found)> _waiting = [];
    private bool _ended;

    public IReadOnlyList<string> Lines
    {
        get
        {
            lock (_gate)
            {
                return [.. _lines];
            }
        }
    }

    public void Add(string line)
    {
        lock (_gate)
        {
            _lines.Add(line);
            foreach (var waiter in _waiting.Where(waiter => waiter.IsWanted(line)).ToList())
            {
                _waiting.Remove(waiter);
                waiter.Found.TrySetResult(line);
            }
        }
    }

    /// <summary>Says that no more lines come.</summary>
    public void End()
    {
        lock (_gate)
        {
            _ended = true;
            foreach (var (_, found) in _waiting)
            {
                found.TrySetException(Missing());
            }

            _waiting.Clear();
        }
    }

    /// <summary>The first line that is wanted, whether it came already or comes yet.</summary>
    public Task<string> FirstAsync(string what, Predicate<string> isWanted)
    {
        lock (_gate)
        {
            if (_lines.Find(isWanted) is { } line)
            {
                return Task.FromResult(line);
            }

            var found = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
            if (_ended)
            {
                found.SetException(Missing());
            }
            else
            {
                _waiting.Add((isWanted, found));
            }

            return found.Task.Within(what);
        }
    }

    public override string ToString()
    {
        // The end tells most; the whole of a chatty run would bury it.
        const int Shown = 80;
        var lines = Lines;
        var head = lines.Count > Shown ? $"  ({lines.Count - Shown} lines before)\n" : "";
        return head + string.Join('\n', lines.TakeLast(Shown).Select(line => $"  {(line.Length > 500 ? line[..500] + "..." : line)}"));
    }

    private static EndOfStreamException Missing() => new("the program ended its output without the line that was waited for");
}
