using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.OAuth.Servers;

/// <summary>Things that happened, in order, and a way to wait for those that are yet to happen.</summary>
public sealed class EventLog<T>
{
    private readonly Lock _gate = new();
    private readonly List<T> _events = [];
    private readonly List<Waiter> _waiting = [];

    public IReadOnlyList<T> All
    {
        get
        {
            lock (_gate)
            {
                return [.. _events];
            }
        }
    }

    public void Add(T happened)
    {
        lock (_gate)
        {
            _events.Add(happened);
            foreach (var waiter in _waiting.Where(waiter => Wanted(waiter.IsWanted).Count >= waiter.Count).ToList())
            {
                _waiting.Remove(waiter);
                waiter.Found.TrySetResult(Wanted(waiter.IsWanted));
            }
        }
    }

    public IReadOnlyList<T> Where(Predicate<T> isWanted) => [.. All.Where(happened => isWanted(happened))];

    public int Count(Predicate<T> isWanted) => Where(isWanted).Count;

    /// <summary>The first event that is wanted, whether it came already or comes yet.</summary>
    public async Task<T> FirstAsync(string what, Predicate<T>? isWanted = null, TimeSpan? limit = null) => (await ManyAsync(1, what, isWanted, limit))[0];

    /// <summary>As many events that are wanted, whether they came already or come yet.</summary>
    public Task<IReadOnlyList<T>> ManyAsync(int count, string what, Predicate<T>? isWanted = null, TimeSpan? limit = null)
    {
        var waiter = new Waiter(isWanted ?? (_ => true), count, new(TaskCreationOptions.RunContinuationsAsynchronously));
        lock (_gate)
        {
            var wanted = Wanted(waiter.IsWanted);
            if (wanted.Count >= count)
            {
                return Task.FromResult(wanted);
            }

            _waiting.Add(waiter);
        }

        return waiter.Found.Task.Within(what, limit);
    }

    private IReadOnlyList<T> Wanted(Predicate<T> isWanted) => [.. _events.Where(happened => isWanted(happened))];

    private sealed record Waiter(Predicate<T> IsWanted, int Count, TaskCompletionSource<IReadOnlyList<T>> Found);
}
