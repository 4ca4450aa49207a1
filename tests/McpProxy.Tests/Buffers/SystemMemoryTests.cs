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
}
