using System.Reflection;
using System.Text.Json;
using BenchmarkDotNet.Attributes;
using McpProxy.Benchmarks.Paths;

namespace McpProxy.Benchmarks.Allocation;

/// <summary>
/// Counts the bytes that each benchmark and each path allocates for one message. Unlike time this repeats, so that it
/// can be a budget; and it takes seconds.
/// </summary>
internal static class AllocationRun
{
    private const int Rounds = 5;

    private static readonly JsonSerializerOptions s_readable = new() { WriteIndented = true };

    /// <summary>Counts, and writes the counts as JSON.</summary>
    /// <param name="file">Where to.</param>
    /// <param name="server">The echo server's program; null: no paths.</param>
    /// <param name="cancellationToken">Stops between two benchmarks.</param>
    public static async Task WriteAsync(string file, string? server, CancellationToken cancellationToken)
    {
        var bytes = new SortedDictionary<string, double>(StringComparer.Ordinal);
        foreach (var type in typeof(AllocationRun).Assembly.GetTypes().Where(type => type.IsSubclassOf(typeof(StageBenchmark))))
        {
            foreach (var size in typeof(StageBenchmark).GetProperty(nameof(StageBenchmark.Size))!.GetCustomAttribute<ParamsAttribute>()!.Values.Cast<int>())
            {
                var benchmark = (StageBenchmark)Activator.CreateInstance(type)!;
                benchmark.Size = size;
                benchmark.SetUp();
                foreach (var method in type.GetMethods().Where(method => method.IsDefined(typeof(BenchmarkAttribute))))
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    bytes[$"{type.Name}.{method.Name}/{size}"] = await CountAsync(OperationOf(benchmark, method), size > 100_000 ? 50 : 2000);
                }
            }
        }

        foreach (var path in server is null ? [] : (IMessagePath[])[new ConnectingPath(server), new ServingPath(server)])
        {
            await using (path)
            {
                await path.OpenAsync(cancellationToken);
                bytes[$"{path.Name}/200"] = await CountAsync(
                    () =>
                    {
                        path.Call();
                        return Task.CompletedTask;
                    },
                    5000);
            }
        }

        await File.WriteAllTextAsync(file, JsonSerializer.Serialize(bytes, s_readable), cancellationToken);
        foreach (var (name, count) in bytes)
        {
            await Console.Out.WriteLineAsync($"{name,-36} {count,12:0} B");
        }
    }

    private static Func<Task> OperationOf(StageBenchmark benchmark, MethodInfo method)
    {
        if (method.ReturnType == typeof(Task))
        {
            return method.CreateDelegate<Func<Task>>(benchmark);
        }

        var operation = method.CreateDelegate<Func<long>>(benchmark);
        return () =>
        {
            operation();
            return Task.CompletedTask;
        };
    }

    private static async Task<double> CountAsync(Func<Task> operation, int times)
    {
        // The first round is for what is allocated only once, and for the compiler. Of the others the least counts: what has to wait, which
        // on a busy machine is more, allocates for that.
        var least = double.PositiveInfinity;
        for (var round = 0; round <= Rounds; round++)
        {
            var before = GC.GetTotalAllocatedBytes(precise: true);
            for (var i = 0; i < times; i++)
            {
                await operation();
            }

            var count = (GC.GetTotalAllocatedBytes(precise: true) - before) / (double)times;
            least = round == 0 ? least : Math.Min(least, count);
        }

        return Math.Round(least);
    }
}
