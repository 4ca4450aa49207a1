using System.Collections.Concurrent;
using System.Diagnostics.Tracing;
using McpProxy.Benchmarks.Paths;

namespace McpProxy.Benchmarks.Allocation;

/// <summary>Shows what a path allocates, by type: the runtime samples an object about every 100 KB.</summary>
internal sealed class AllocationProfile : EventListener
{
    private const EventKeywords Garbage = (EventKeywords)1;

    private readonly ConcurrentDictionary<string, long> _bytes = new(StringComparer.Ordinal);
    private volatile bool _counts;

    /// <summary>Runs a path and prints its types.</summary>
    public static async Task PrintAsync(IMessagePath path, int calls, CancellationToken cancellationToken)
    {
        await using (path)
        {
            await path.OpenAsync(cancellationToken);
            for (var i = 0; i < calls / 5; i++)
            {
                path.Call();
            }

            using var profile = new AllocationProfile { _counts = true };
            for (var i = 0; i < calls; i++)
            {
                path.Call();
            }

            profile._counts = false;
            await Console.Out.WriteLineAsync($"{path.Name}: {profile._bytes.Values.Sum() / (double)calls:0} B for each message");
            foreach (var (type, bytes) in profile._bytes.OrderByDescending(pair => pair.Value).Take(50))
            {
                await Console.Out.WriteLineAsync($"{bytes / (double)calls,8:0} B  {type}");
            }
        }
    }

    /// <inheritdoc/>
    protected override void OnEventSourceCreated(EventSource eventSource)
    {
        ArgumentNullException.ThrowIfNull(eventSource);
        if (eventSource.Name == "Microsoft-Windows-DotNETRuntime")
        {
            EnableEvents(eventSource, EventLevel.Verbose, Garbage);
        }
    }

    /// <inheritdoc/>
    protected override void OnEventWritten(EventWrittenEventArgs eventData)
    {
        ArgumentNullException.ThrowIfNull(eventData);
        if (_counts && eventData.EventName?.StartsWith("GCAllocationTick", StringComparison.Ordinal) == true)
        {
            var names = eventData.PayloadNames!;
            var type = (string)eventData.Payload![names.IndexOf("TypeName")]!;
            var amount = (ulong)eventData.Payload[names.IndexOf("AllocationAmount64")]!;
            _bytes.AddOrUpdate(type, (long)amount, (_, sum) => sum + (long)amount);
        }
    }
}
