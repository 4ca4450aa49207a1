using BenchmarkDotNet.Attributes;

namespace McpProxy.Benchmarks;

/// <summary>One stage that every message passes, measured at three sizes. A benchmark returns a number (<c>long</c>) or a <see cref="Task"/>.</summary>
[MemoryDiagnoser]
public abstract class StageBenchmark
{
    /// <summary>The size of a message, in bytes.</summary>
    [Params(200, 10 * 1024, 1024 * 1024)]
    public int Size { get; set; }

    /// <summary>What is made once before the measurement.</summary>
    [GlobalSetup]
    public virtual void SetUp()
    {
    }
}
