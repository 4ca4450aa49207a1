using McpProxy.Buffers;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Buffers;

public sealed class ElasticBufferTests
{
    [Fact]
    public void Growing_keeps_what_it_is_told_to_and_puts_it_to_the_front()
    {
        using var buffer = new ElasticBuffer(16);
        buffer.Grow(0, 0);
        var expected = new byte[10];
        Random.Shared.NextBytes(expected);
        expected.CopyTo(buffer.Memory.Span[3..]);
        buffer.Grow(3, 10);
        while (buffer.Memory.Length < 20_000_000)
        {
            var before = buffer.Memory.Length;
            buffer.Grow(0, 10);
            buffer.Memory.Length.ShouldBeGreaterThan(before);
            buffer.Memory.Span[..10].ToArray().ShouldBe(expected);
        }
    }

    [Fact]
    public void It_grows_no_further_than_it_is_asked_to_hold()
    {
        using var buffer = new ElasticBuffer(RentedMemory.MaxPooled);
        buffer.Grow(0, 0);
        buffer.Grow(0, 0, 200_000);
        buffer.Memory.Length.ShouldBe(200_000);
    }

    [Fact]
    public void Small_memory_is_kept_and_large_memory_is_given_back()
    {
        using var buffer = new ElasticBuffer(4096);
        buffer.Grow(0, 0);
        var small = buffer.Memory;
        buffer.Shrink();
        buffer.Memory.ShouldBe(small);
        while (buffer.Memory.Length <= RentedMemory.MaxPooled)
        {
            buffer.Grow(0, 0);
        }

        var large = buffer.Memory;
        buffer.Shrink();
        buffer.Memory.Length.ShouldBe(0);
        Should.Throw<ObjectDisposedException>(() => large.Span.Length);
    }
}
