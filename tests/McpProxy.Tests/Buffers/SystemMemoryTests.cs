using McpProxy.Buffers;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Buffers;

public sealed class SystemMemoryTests
{
    [Fact]
    public void What_was_given_back_cannot_be_used()
    {
        var memory = new SystemMemory(100_000);
        var bytes = memory.Memory;
        bytes.Span.Fill(1);
        ((IDisposable)memory).Dispose();
        Should.Throw<ObjectDisposedException>(() => bytes.Span.Length);
        Should.Throw<ObjectDisposedException>(() => bytes.Pin());
    }

    [Fact]
    public void What_is_given_back_while_it_is_pinned_is_given_back_once()
    {
        var memory = new SystemMemory(100_000);
        var handle = memory.Memory[99_999..].Pin();
        ((IDisposable)memory).Dispose();
        handle.Dispose();
        ((IDisposable)memory).Dispose();
        Should.Throw<ObjectDisposedException>(() => memory.GetSpan().Length);
    }

    [Theory]
    [InlineData(70_000)]
    [InlineData(4 * 1024 * 1024)]
    [InlineData(9_000_000)]
    public void What_is_in_use_is_nobody_elses_however_often_it_is_given_back(int length)
    {
        var inUse = new List<(SystemMemory Memory, byte Mark)>();
        for (var i = 0; i < 60; i++)
        {
            var memory = new SystemMemory(length);
            memory.GetSpan().Fill((byte)i);
            inUse.Add((memory, (byte)i));
            if (i % 3 != 0)
            {
                var (oldest, mark) = inUse[0];
                inUse.RemoveAt(0);
                oldest.GetSpan().ContainsAnyExcept(mark).ShouldBeFalse();
                ((IDisposable)oldest).Dispose();
            }

            if (i % 10 == 0 && OperatingSystem.IsLinux())
            {
                SpareMemory.Trim();
            }
        }

        foreach (var (memory, mark) in inUse)
        {
            memory.GetSpan().ContainsAnyExcept(mark).ShouldBeFalse();
            ((IDisposable)memory).Dispose();
        }
    }
}
