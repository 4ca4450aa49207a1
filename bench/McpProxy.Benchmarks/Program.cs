using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using McpProxy.Benchmarks.Allocation;
using McpProxy.Benchmarks.Paths;

namespace McpProxy.Benchmarks;

internal static class Program
{
    public static async Task<int> Main(string[] args)
    {
        switch (args)
        {
            case ["--allocations", var file]:
                await AllocationRun.WriteAsync(file, null, CancellationToken.None);
                return 0;
            case ["--allocations", var file, var server]:
                await AllocationRun.WriteAsync(file, server, CancellationToken.None);
                return 0;
            case ["--profile", "connecting", var server]:
                await AllocationProfile.PrintAsync(new ConnectingPath(server), 50_000, CancellationToken.None);
                return 0;
            case ["--profile", "serving", var server]:
                await AllocationProfile.PrintAsync(new ServingPath(server), 50_000, CancellationToken.None);
                return 0;
            default:
                // In this process: BenchmarkDotNet's own builds would not know the repository's settings, and take minutes.
                var config = DefaultConfig.Instance.AddJob(Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance));
                BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args.Length == 0 ? ["--filter", "*"] : args, config);
                return 0;
        }
    }
}
