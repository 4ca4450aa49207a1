using System.Collections.Concurrent;

namespace McpProxy.TestServer;

/// <summary>Lets one call wait for what another has done, by name; shared by all sessions, since a modern peer has none.</summary>
internal sealed class Rendezvous
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(15);

    private readonly ConcurrentDictionary<string, TaskCompletionSource> _places = new(StringComparer.Ordinal);

    public static string StreamOf(string session) => $"stream of {session}";

    public static string Started(string key) => $"{key} started";

    public static string Cancelled(string key) => $"{key} cancelled";

    /// <summary>Says that something has happened.</summary>
    public void Arrive(string place) => At(place).TrySetResult();

    /// <summary>Waits for it, within bounds.</summary>
    /// <returns>False when it did not happen in time.</returns>
    public async Task<bool> MeetAsync(string place, CancellationToken cancellationToken)
    {
        try
        {
            await At(place).Task.WaitAsync(s_limit, cancellationToken);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    private TaskCompletionSource At(string place) => _places.GetOrAdd(place, _ => new(TaskCreationOptions.RunContinuationsAsynchronously));
}
