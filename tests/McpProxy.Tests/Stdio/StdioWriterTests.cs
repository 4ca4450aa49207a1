using System.Text;
using McpProxy.Transports.Stdio;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Stdio;

/// <summary>Lines go out whole, one after the other, whoever writes them.</summary>
public sealed class StdioWriterTests
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(20);

    private readonly GatedStream _stream = new();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_comes_during_a_write_goes_out_with_the_next(bool isBlocking)
    {
        var writer = new StdioWriter(_stream, isBlocking);
        var first = Task.Run(async () => await writer.WriteAsync("1"u8.ToArray(), CancellationToken.None));
        await _stream.Begun.WaitAsync(s_timeout);
        var rest = Enumerable.Range(2, 4).Select(i => writer.WriteAsync(Encoding.ASCII.GetBytes($"{i}\r\n{i}"), CancellationToken.None).AsTask()).ToList();
        rest.ShouldAllBe(write => !write.IsCompleted);
        _stream.Open();
        (await first.WaitAsync(s_timeout)).ShouldBeTrue();
        (await Task.WhenAll(rest).WaitAsync(s_timeout)).ShouldAllBe(written => written);
        _stream.Writes.ShouldBe(["1\n", "2  2\n3  3\n4  4\n5  5\n"]);
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(200, false)]
    [InlineData((64 * 1024) - 1, true)]
    [InlineData(64 * 1024, false)]
    [InlineData(1_000_000, true)]
    [InlineData(1_000_000, false)]
    public async Task A_message_is_one_line_whatever_its_length_and_its_line_breaks(int length, bool isBlocking)
    {
        var message = Enumerable.Range(0, length).Select(i => (byte)(i % 70_001 == 5 ? '\n' : i % 50_021 == 7 ? '\r' : 'a' + (i % 26))).ToArray();
        var before = message.ToArray();
        using var stream = new MemoryStream();
        var writer = new StdioWriter(stream, isBlocking);
        (await writer.WriteAsync(message, TestContext.Current.CancellationToken)).ShouldBeTrue();
        (await writer.WriteAsync("{}"u8.ToArray(), TestContext.Current.CancellationToken)).ShouldBeTrue();
        message.SequenceEqual(before).ShouldBeTrue();
        byte[] expected = [.. message.Select(b => b is (byte)'\n' or (byte)'\r' ? (byte)' ' : b), .. "\n{}\n"u8];
        stream.ToArray().SequenceEqual(expected).ShouldBeTrue();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Long_and_short_messages_take_turns(bool isBlocking)
    {
        _stream.Open();
        var writer = new StdioWriter(_stream, isBlocking);
        var sent = Enumerable.Range(0, 200).Select(i => new string((char)('a' + (i % 26)), i % 7 == 0 ? 70_000 : i)).ToList();
        (await Task.WhenAll(sent.Select(text => Task.Run(async () => await writer.WriteAsync(Encoding.ASCII.GetBytes(text), CancellationToken.None)))).WaitAsync(s_timeout)).ShouldAllBe(written => written);
        var lines = string.Concat(_stream.Writes).Split('\n');
        lines[^1].ShouldBe("");
        lines[..^1].Order(StringComparer.Ordinal).ShouldBe(sent.Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task A_long_message_with_line_breaks_is_one_line()
    {
        _stream.Open();
        var writer = new StdioWriter(_stream, isBlocking: true);
        (await writer.WriteAsync(Encoding.ASCII.GetBytes($"{{\r\n{new string('x', 100_000)}\n}}"), CancellationToken.None)).ShouldBeTrue();
        string.Concat(_stream.Writes).ShouldBe($"{{  {new string('x', 100_000)} }}\n");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Nobody_is_told_that_a_line_was_written_that_was_not(bool isBlocking)
    {
        var writer = new StdioWriter(_stream, isBlocking);
        var first = Task.Run(async () => await writer.WriteAsync("1"u8.ToArray(), CancellationToken.None));
        await _stream.Begun.WaitAsync(s_timeout);
        var second = writer.WriteAsync("2"u8.ToArray(), CancellationToken.None).AsTask();
        var large = writer.WriteAsync(new byte[100_000], CancellationToken.None).AsTask();
        _stream.Break();
        (await first.WaitAsync(s_timeout)).ShouldBeFalse();
        (await second.WaitAsync(s_timeout)).ShouldBeFalse();
        (await large.WaitAsync(s_timeout)).ShouldBeFalse();
        (await writer.WriteAsync("3"u8.ToArray(), CancellationToken.None)).ShouldBeFalse();
    }

    [Fact]
    public async Task Who_waits_can_give_up()
    {
        var writer = new StdioWriter(_stream, isBlocking: true);
        var first = Task.Run(async () => await writer.WriteAsync("1"u8.ToArray(), CancellationToken.None));
        await _stream.Begun.WaitAsync(s_timeout);
        using var cancel = new CancellationTokenSource();
        var second = writer.WriteAsync("2"u8.ToArray(), cancel.Token).AsTask();
        var large = writer.WriteAsync(new byte[100_000], cancel.Token).AsTask();
        await cancel.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(() => second);
        await Should.ThrowAsync<OperationCanceledException>(() => large);
        _stream.Open();
        (await first.WaitAsync(s_timeout)).ShouldBeTrue();
    }

    [Fact]
    public async Task The_end_comes_after_what_is_being_written()
    {
        var writer = new StdioWriter(_stream, isBlocking: false);
        var first = writer.WriteAsync("1"u8.ToArray(), CancellationToken.None).AsTask();
        await _stream.Begun.WaitAsync(s_timeout);
        var closing = writer.CloseAsync(CancellationToken.None).AsTask();
        closing.IsCompleted.ShouldBeFalse();
        _stream.Open();
        (await first.WaitAsync(s_timeout)).ShouldBeTrue();
        await closing.WaitAsync(s_timeout);
        _stream.Writes.ShouldBe(["1\n", "(end)"]);
        (await writer.WriteAsync("2"u8.ToArray(), CancellationToken.None)).ShouldBeFalse();
    }

    /// <summary>A stream whose writes wait for the test.</summary>
    private sealed class GatedStream : MemoryStream
    {
        private readonly TaskCompletionSource _begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _gate = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly ManualResetEventSlim _opened = new();
        private readonly Lock _lock = new();
        private volatile bool _isBroken;

        public Task Begun => _begun.Task;

        public List<string> Writes { get; } = [];

        public void Open()
        {
            _opened.Set();
            _gate.TrySetResult();
        }

        public void Break()
        {
            _isBroken = true;
            Open();
        }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            _begun.TrySetResult();
            _opened.Wait(TestContext.Current.CancellationToken);
            Keep(buffer);
        }

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            _begun.TrySetResult();
            await _gate.Task;
            Keep(buffer.Span);
        }

        protected override void Dispose(bool disposing)
        {
            Keep("(end)"u8);
            base.Dispose(disposing);
        }

        private void Keep(ReadOnlySpan<byte> bytes)
        {
            if (_isBroken)
            {
                throw new IOException("broken");
            }

            lock (_lock)
            {
                Writes.Add(Encoding.ASCII.GetString(bytes));
            }
        }
    }
}
