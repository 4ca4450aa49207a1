using System.IO.Pipes;
using System.Runtime.Versioning;
using System.Text;
using McpProxy.Transports.Polling;
using McpProxy.Transports.Stdio;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Stdio;

/// <summary>On an event loop, what one batch of events brings goes out together.</summary>
[SupportedOSPlatform("linux")]
public sealed class BatchedLinesTests : IDisposable
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(20);

    private readonly EventLoop _loop;
    private readonly AnonymousPipeServerStream _output = new(PipeDirection.In);
    private readonly AnonymousPipeServerStream _trigger = new(PipeDirection.Out);
    private readonly DescriptorStream _triggered;
    private readonly StdioWriter _writer;

    public BatchedLinesTests()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "epoll is Linux's");
        _loop = new("test loop");
        _triggered = OnLoop(_trigger);
        _writer = new(OnLoop(_output), isBlocking: false);
    }

    public void Dispose()
    {
        _triggered?.Dispose();
        _trigger.Dispose();
        _output.Dispose();
        _loop?.Dispose();
    }

    [Fact]
    public async Task Lines_of_a_batch_wait_for_its_end_and_are_told_when_they_are_out()
    {
        var written = await OnLoopAsync(() =>
        {
            var lines = new[] { "1", "2\n", "3" }.Select(WriteAsync).ToList();
            lines.ShouldAllBe(line => !line.IsCompleted);
            return Task.WhenAll(lines);
        });
        written.ShouldBe([true, true, true]);
        (await ReadAsync(7)).ShouldBe("1\n2 \n3\n");
    }

    [Fact]
    public async Task Who_waited_is_continued_on_the_loop()
    {
        (await OnLoopAsync(async () =>
        {
            await WriteAsync("1");
            return _loop.IsCurrent;
        })).ShouldBeTrue();
    }

    [Fact]
    public async Task Lines_from_other_threads_go_out_without_a_batch()
    {
        (await Task.Run(() => WriteAsync("1")).WaitAsync(s_timeout)).ShouldBeTrue();
        (await ReadAsync(2)).ShouldBe("1\n");
    }

    [Theory]
    [InlineData(30_000)]
    [InlineData(65_535)]
    [InlineData(65_536)]
    [InlineData(200_000)]
    public async Task More_than_one_write_holds_stays_whole_and_in_order(int length)
    {
        var sent = Enumerable.Range(0, 10).Select(i => new string((char)('a' + i), i % 3 == 2 ? length : 10)).ToList();
        var reading = ReadAsync(sent.Sum(text => text.Length + 1));
        (await OnLoopAsync(async () =>
        {
            foreach (var text in sent)
            {
                // In this order: who sends one after the other waits for each.
                (await WriteAsync(text)).ShouldBeTrue();
            }

            return true;
        })).ShouldBeTrue();
        (await reading).ShouldBe(string.Concat(sent.Select(text => text + "\n")));

        // All at once, lines stay whole.
        reading = ReadAsync(sent.Sum(text => text.Length + 1));
        (await OnLoopAsync(() => Task.WhenAll(sent.Select(WriteAsync)))).ShouldAllBe(written => written);
        (await reading).Split('\n').Order(StringComparer.Ordinal).ShouldBe(sent.Append("").Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Nobody_is_told_that_a_line_was_written_to_a_reader_that_is_gone()
    {
        await _output.DisposeAsync();
        (await OnLoopAsync(() => Task.WhenAll(WriteAsync("1"), WriteAsync("2")))).ShouldBe([false, false]);
        (await OnLoopAsync(() => WriteAsync("3"))).ShouldBeFalse();
    }

    [Fact]
    public async Task What_counts_as_written_is_flushed_when_it_was_read_and_not_before()
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.In);
        var writer = new StdioWriter(OnLoop(pipe), isBlocking: false, confirms: false);
        var line = new string('x', 60_000);
        await writer.FlushAsync(CancellationToken.None);

        // More than a pipe takes, and less than is held for a reader that is slow.
        (await OnLoopAsync(async () => await writer.WriteAsync(Encoding.ASCII.GetBytes(line), default))).ShouldBeTrue();
        (await OnLoopAsync(async () => await writer.WriteAsync(Encoding.ASCII.GetBytes(line), default))).ShouldBeTrue();
        using var cancel = new CancellationTokenSource();
        var flushing = writer.FlushAsync(cancel.Token).AsTask();
        flushing.IsCompleted.ShouldBeFalse();
        await cancel.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(flushing);

        flushing = writer.FlushAsync(CancellationToken.None).AsTask();
        var read = new byte[2 * (line.Length + 1)];
        await pipe.ReadExactlyAsync(read).AsTask().WaitAsync(s_timeout);
        await flushing.WaitAsync(s_timeout);
        Encoding.ASCII.GetString(read).ShouldBe($"{line}\n{line}\n");
    }

    [Fact]
    public async Task Who_waits_for_a_reader_that_does_not_read_can_give_up()
    {
        using var cancel = new CancellationTokenSource();
        var filling = WriteAsync(new string('x', 1_000_000));
        filling.IsCompleted.ShouldBeFalse();
        var held = await OnLoopAsync(() => Task.FromResult(new[] { Encoding.ASCII.GetBytes("1"), new byte[100_000] }.Select(message => _writer.WriteAsync(message, cancel.Token).AsTask()).ToList()));
        await cancel.CancelAsync();
        foreach (var line in held)
        {
            await Should.ThrowAsync<OperationCanceledException>(() => line.WaitAsync(s_timeout));
        }

        var reading = ReadAsync(1_000_001);
        (await filling.WaitAsync(s_timeout)).ShouldBeTrue();
        (await reading).Length.ShouldBe(1_000_001);
    }

    [Fact]
    public async Task Who_is_in_the_write_that_takes_its_time_can_give_up_and_the_line_still_arrives()
    {
        using var cancel = new CancellationTokenSource();
        var text = new string('x', 60_000);
        var lines = await OnLoopAsync(() => Task.FromResult(Enumerable.Range(0, 4).Select(_ => _writer.WriteAsync(Encoding.ASCII.GetBytes(text), cancel.Token).AsTask()).ToList()));
        await cancel.CancelAsync();

        // The first went out at once, the second did so in part; the others had to wait for it.
        (await lines[0].WaitAsync(s_timeout)).ShouldBeTrue();
        foreach (var line in lines[1..])
        {
            await Should.ThrowAsync<OperationCanceledException>(() => line.WaitAsync(s_timeout));
        }

        (await ReadAsync(60_001)).ShouldBe(text + "\n");
        (await ReadAsync(60_001)).ShouldBe(text + "\n");
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private Task<bool> WriteAsync(string text) => _writer.WriteAsync(Encoding.ASCII.GetBytes(text), Stop).AsTask();

    private async Task<string> ReadAsync(int count)
    {
        var bytes = new byte[count];
        await _output.ReadExactlyAsync(bytes, Stop).AsTask().WaitAsync(s_timeout, Stop);
        return Encoding.ASCII.GetString(bytes);
    }

    /// <summary>Does something on the loop's thread, as the first thing of a batch.</summary>
    private async Task<T> OnLoopAsync<T>(Func<Task<T>> work)
    {
        var done = Task.Run(async () =>
        {
            var read = _triggered.ReadAsync(new byte[1], Stop);
            read.IsCompleted.ShouldBeFalse();
            var rest = OnceReadAsync(read);
            await _trigger.WriteAsync(new byte[1], Stop);
            return await rest;
        });
        return await done.WaitAsync(s_timeout);

        async Task<T> OnceReadAsync(ValueTask<int> read)
        {
            await read;
            return await work();
        }
    }

    private DescriptorStream OnLoop(AnonymousPipeServerStream pipe)
    {
        Libc.SetNonBlocking((int)pipe.ClientSafePipeHandle.DangerousGetHandle());
        return new(_loop, pipe.ClientSafePipeHandle);
    }
}
