using System.IO.Pipes;
using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using McpProxy.Transports.Polling;
using Xunit;

namespace McpProxy.Tests.Polling;

[SupportedOSPlatform("linux")]
public sealed class DescriptorStreamTests : IDisposable
{
    private readonly EventLoop _loop;
    private readonly List<IDisposable> _made = [];

    public DescriptorStreamTests()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "epoll is Linux's");
        _loop = new("test loop");
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public static TheoryData<bool> Kinds => [true, false];

    public void Dispose()
    {
        _made.ForEach(made => made.Dispose());
        _loop.Dispose();
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task What_comes_while_nobody_reads_is_there_at_once(bool isSocket)
    {
        var (stream, peer) = Pair(isSocket, reads: true);
        var buffer = new byte[100];
        var first = stream.ReadAsync(buffer, Stop);
        Assert.False(first.IsCompleted);
        await peer.WriteAsync("one"u8.ToArray(), Stop);
        Assert.Equal(3, await first);

        await peer.WriteAsync("second"u8.ToArray(), Stop);
        Assert.Equal(0, await stream.ReadAsync(Memory<byte>.Empty, Stop));
        Assert.Equal(4, await stream.ReadAsync(buffer.AsMemory(0, 4), Stop));
        Assert.Equal("seco"u8, buffer.AsSpan(0, 4));
        Assert.Equal(2, await stream.ReadAsync(buffer, Stop));

        var waiting = stream.ReadAsync(Memory<byte>.Empty, Stop);
        Assert.False(waiting.IsCompleted);
        await peer.WriteAsync("x"u8.ToArray(), Stop);
        Assert.Equal(0, await waiting);
        Assert.Equal(1, await stream.ReadAsync(buffer, Stop));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task The_end_is_seen_whether_it_comes_with_the_last_bytes_or_later(bool isSocket)
    {
        for (var i = 0; i < 200; i++)
        {
            var (stream, peer) = Pair(isSocket, reads: true);
            var buffer = new byte[100];
            var first = i % 2 == 0 ? stream.ReadAsync(buffer, Stop).AsTask() : null;
            await peer.WriteAsync("last words"u8.ToArray(), Stop);
            await peer.DisposeAsync();
            Assert.Equal(10, await (first ?? stream.ReadAsync(buffer, Stop).AsTask()));
            Assert.Equal(0, await stream.ReadAsync(buffer, Stop));
            Assert.Equal(0, await stream.ReadAsync(buffer, Stop));
            await stream.DisposeAsync();
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task A_write_waits_for_a_slow_reader_and_loses_nothing(bool isSocket)
    {
        var (stream, peer) = Pair(isSocket, reads: false);
        var sent = new byte[5_000_000];
        new Random(1).NextBytes(sent);
        var writing = stream.WriteAsync(sent, Stop);
        Assert.False(writing.IsCompleted);

        var received = new byte[sent.Length];
        await peer.ReadExactlyAsync(received, Stop);
        await writing;
        Assert.Equal(sent, received);

        await stream.WriteAsync("more"u8.ToArray(), Stop);
        await peer.ReadExactlyAsync(received.AsMemory(0, 4), Stop);
        Assert.Equal("more"u8, received.AsSpan(0, 4));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task A_writer_whose_reader_is_gone_gets_an_error(bool isSocket)
    {
        var (stream, peer) = Pair(isSocket, reads: false);
        var writing = stream.WriteAsync(new byte[5_000_000], Stop).AsTask();
        await peer.DisposeAsync();
        var error = await Assert.ThrowsAsync<IOException>(() => writing);
        Assert.IsType<SocketException>(error.InnerException);
    }

    [Fact]
    public async Task A_reset_connection_is_an_error_of_its_own()
    {
        var (stream, peer) = Pair(isSocket: true, reads: true);
        var reading = stream.ReadAsync(new byte[10], Stop).AsTask();
        ((NetworkStream)peer).Socket.Close(0);
        var error = await Assert.ThrowsAsync<IOException>(() => reading);
        Assert.Equal(SocketError.ConnectionReset, Assert.IsType<SocketException>(error.InnerException).SocketErrorCode);
    }

    [Fact]
    public async Task A_cancelled_read_leaves_the_stream_usable()
    {
        var (stream, peer) = Pair(isSocket: true, reads: true);
        for (var i = 0; i < 50; i++)
        {
            using var cancel = new CancellationTokenSource();
            var reading = stream.ReadAsync(new byte[10], cancel.Token).AsTask();
            await cancel.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading);
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => stream.ReadAsync(new byte[10], cancel.Token).AsTask());
        }

        await peer.WriteAsync("still"u8.ToArray(), Stop);
        Assert.Equal(5, await stream.ReadAsync(new byte[10], Stop));
    }

    [Fact]
    public async Task Closing_ends_what_waits()
    {
        var (stream, peer) = Pair(isSocket: true, reads: true);
        var reading = stream.ReadAsync(new byte[10], Stop).AsTask();
        var writing = stream.WriteAsync(new byte[20_000_000], Stop).AsTask();
        await stream.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => reading);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => writing);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => stream.ReadAsync(new byte[10], Stop).AsTask());

        // The peer sees the end, or the reset that unread bytes make of it.
        var rest = new byte[1 << 16];
        try
        {
            while (await peer.ReadAsync(rest, Stop) > 0)
            {
            }
        }
        catch (IOException)
        {
        }
    }

    [Fact]
    public async Task Two_operations_of_one_direction_at_once_are_refused()
    {
        var (stream, peer) = Pair(isSocket: true, reads: true);
        var reading = stream.ReadAsync(new byte[10], Stop).AsTask();
        await Assert.ThrowsAsync<InvalidOperationException>(() => stream.ReadAsync(new byte[10], Stop).AsTask());
        await peer.WriteAsync("x"u8.ToArray(), Stop);
        Assert.Equal(1, await reading);
    }

    [Fact]
    public async Task What_waited_continues_on_the_loop_and_the_end_of_the_batch_comes_after_it()
    {
        var (stream, peer) = Pair(isSocket: true, reads: true);
        var order = new List<string>();
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var done = ContinueAsync();
        await peer.WriteAsync("ab"u8.ToArray(), Stop);
        await done;
        await ended.Task.WaitAsync(Stop);
        Assert.Equal(["read", "read", "end"], order);

        async Task ContinueAsync()
        {
            var buffer = new byte[1];
            Assert.Equal(1, await stream.ReadAsync(buffer, Stop));
            Assert.True(_loop.IsCurrent);
            _loop.AtBatchEnd(new BatchEnd(() =>
            {
                order.Add("end");
                ended.SetResult();
            }));
            order.Add("read");
            Assert.Equal(1, await stream.ReadAsync(buffer, Stop));
            order.Add("read");
        }
    }

    /// <summary>Who always has something to read must not keep the others from theirs.</summary>
    [Fact]
    public async Task A_stream_that_is_never_empty_leaves_others_their_turn()
    {
        var (greedy, flood) = Pair(isSocket: false, reads: true);
        var (stream, peer) = Pair(isSocket: true, reads: true);
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        var flooding = Task.Run(
            async () =>
            {
                var bytes = new byte[60_000];
                while (!enough.IsCancellationRequested)
                {
                    await flood.WriteAsync(bytes, CancellationToken.None);
                }
            },
            Stop);
        var draining = DrainAsync();
        for (var i = 0; i < 20; i++)
        {
            var reading = stream.ReadAsync(new byte[1], Stop);
            await peer.WriteAsync("x"u8.ToArray(), Stop);
            Assert.Equal(1, await reading);
        }

        await enough.CancelAsync();
        await flooding;
        await flood.DisposeAsync();
        await draining;

        async Task DrainAsync()
        {
            // So small that the flood never ends for it.
            var buffer = new byte[16];
            while (await greedy.ReadAsync(buffer, Stop) > 0)
            {
            }
        }
    }

    [Fact]
    public async Task Many_at_once_get_what_is_theirs()
    {
        var pairs = Enumerable.Range(0, 300).Select(_ => Pair(isSocket: true, reads: true)).ToList();
        await Task.WhenAll(pairs.Select((pair, number) => Task.WhenAll(EchoAsync(pair.Stream), AskAsync(pair.Peer, (byte)number))));

        async Task EchoAsync(DescriptorStream stream)
        {
            var buffer = new byte[1000];
            int count;
            while ((count = await stream.ReadAsync(buffer, Stop)) > 0)
            {
                await stream.WriteAsync(buffer.AsMemory(0, count), Stop);
            }
        }

        async Task AskAsync(Stream peer, byte number)
        {
            var answer = new byte[100];
            for (var i = 0; i < 20; i++)
            {
                await peer.WriteAsync(Enumerable.Repeat(number, 100).ToArray(), Stop);
                await peer.ReadExactlyAsync(answer, Stop);
                Assert.All(answer, value => Assert.Equal(number, value));
            }

            await peer.DisposeAsync();
        }
    }

    [Fact]
    public void A_file_cannot_be_waited_for()
    {
        using var file = File.OpenHandle(typeof(DescriptorStreamTests).Assembly.Location);
        Assert.Throws<IOException>(() => new DescriptorStream(_loop, file));
    }

    private (DescriptorStream Stream, Stream Peer) Pair(bool isSocket, bool reads)
    {
        var (stream, peer) = isSocket ? Sockets() : Pipe(reads);
        _made.Add(stream);
        _made.Add(peer);
        return (stream, peer);
    }

    private (DescriptorStream Stream, Stream Peer) Sockets()
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        var client = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        client.Connect(listener.LocalEndPoint!);
        var accepted = listener.Accept();
        return (new(_loop, accepted), new NetworkStream(client, ownsSocket: true));
    }

    private (DescriptorStream Stream, Stream Peer) Pipe(bool reads)
    {
        var ours = new AnonymousPipeServerStream(reads ? PipeDirection.In : PipeDirection.Out, HandleInheritability.None);
        var peer = new AnonymousPipeClientStream(reads ? PipeDirection.Out : PipeDirection.In, ours.ClientSafePipeHandle);
        _made.Add(ours);
        Libc.SetNonBlocking((int)ours.SafePipeHandle.DangerousGetHandle());
        return (new(_loop, ours.SafePipeHandle), peer);
    }

    private sealed class BatchEnd(Action work) : IBatchEnd
    {
        public void OnBatchEnd() => work();
    }
}
