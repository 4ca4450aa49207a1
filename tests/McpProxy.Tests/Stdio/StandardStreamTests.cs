using System.IO.Pipes;
using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using McpProxy.Transports.Polling;
using McpProxy.Transports.Stdio;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Stdio;

/// <summary>What a parent gave for standard input and output is put on a loop without being changed for the parent.</summary>
[SupportedOSPlatform("linux")]
public sealed class StandardStreamTests : IDisposable
{
    private readonly EventLoop _loop;

    public StandardStreamTests()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "epoll is Linux's");
        _loop = new("test loop");
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public void Dispose() => _loop?.Dispose();

    [Fact]
    public async Task A_pipe_is_read_on_the_loop_and_stays_as_it_is()
    {
        await using var parent = new AnonymousPipeServerStream(PipeDirection.Out);
        var descriptor = (int)parent.ClientSafePipeHandle.DangerousGetHandle();
        await using var stream = StandardStream.TryOpen(descriptor, FileAccess.Read, _loop).ShouldNotBeNull();
        stream.Descriptor.ShouldNotBe(descriptor);
        var reading = ReadAsync(stream);
        await parent.WriteAsync("hello"u8.ToArray(), Stop);
        (await reading).ShouldBe(5);
        IsNonBlocking(descriptor).ShouldBeFalse();
    }

    [Fact]
    public async Task A_pipe_is_written_on_the_loop_and_stays_as_it_is()
    {
        await using var parent = new AnonymousPipeServerStream(PipeDirection.In);
        var descriptor = (int)parent.ClientSafePipeHandle.DangerousGetHandle();
        await using var stream = StandardStream.TryOpen(descriptor, FileAccess.Write, _loop).ShouldNotBeNull();

        // More than it holds: what waits must be the loop and no thread.
        var writing = stream.WriteAsync(new byte[1_000_000], Stop).AsTask();
        writing.IsCompleted.ShouldBeFalse();
        var bytes = new byte[1_000_000];
        await parent.ReadExactlyAsync(bytes, Stop);
        await writing;
        IsNonBlocking(descriptor).ShouldBeFalse();
    }

    [Fact]
    public async Task A_socket_is_used_on_the_loop_and_stays_as_it_is()
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        using var parent = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await parent.ConnectAsync(listener.LocalEndPoint!, Stop);
        using var ours = await listener.AcceptAsync(Stop);
        var descriptor = (int)ours.Handle;
        var wasNonBlocking = IsNonBlocking(descriptor);
        await using (var input = StandardStream.TryOpen(descriptor, FileAccess.Read, _loop).ShouldNotBeNull())
        {
            var reading = ReadAsync(input);
            await parent.SendAsync("hello"u8.ToArray(), Stop);
            (await reading).ShouldBe(5);
            await input.WriteAsync("you"u8.ToArray(), Stop);
            (await parent.ReceiveAsync(new byte[10], Stop)).ShouldBe(3);
        }

        // Others may still need it.
        IsNonBlocking(descriptor).ShouldBe(wasNonBlocking);
    }

    [Fact]
    public async Task The_end_of_a_pipe_whose_writer_was_gone_before_is_seen()
    {
        var parent = new AnonymousPipeServerStream(PipeDirection.Out);
        var descriptor = (int)parent.ClientSafePipeHandle.DangerousGetHandle();
        await parent.WriteAsync("x"u8.ToArray(), Stop);
        parent.SafePipeHandle.Dispose();
        await using var stream = StandardStream.TryOpen(descriptor, FileAccess.Read, _loop).ShouldNotBeNull();
        (await ReadAsync(stream)).ShouldBe(1);
        (await ReadAsync(stream)).ShouldBe(0);
        parent.ClientSafePipeHandle.Dispose();
    }

    [Fact]
    public void Files_and_devices_are_left_to_whoever_can_wait_for_them()
    {
        using var file = File.OpenHandle(Path.GetTempFileName(), options: FileOptions.DeleteOnClose);
        StandardStream.TryOpen((int)file.DangerousGetHandle(), FileAccess.Read, _loop).ShouldBeNull();
        using var device = File.OpenHandle("/dev/null");
        StandardStream.TryOpen((int)device.DangerousGetHandle(), FileAccess.Read, _loop).ShouldBeNull();
        StandardStream.TryOpen(9999, FileAccess.Read, _loop).ShouldBeNull();
    }

    private static async Task<int> ReadAsync(DescriptorStream stream) => await stream.ReadAsync(new byte[100], Stop).AsTask().WaitAsync(TimeSpan.FromSeconds(20), Stop);

    private static bool IsNonBlocking(int descriptor)
    {
        var flags = File.ReadLines($"/proc/self/fdinfo/{descriptor}").First(line => line.StartsWith("flags:", StringComparison.Ordinal))[6..].Trim();
        return (Convert.ToInt32(flags, 8) & 0x800) != 0;
    }
}
