using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.Clients;

/// <summary>Breaks the next event stream that answers a POST, after its first event, when it is told to.</summary>
internal sealed class CuttingHandler() : DelegatingHandler(new SocketsHttpHandler())
{
    private readonly TaskCompletionSource _cut = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _armed;

    /// <summary>Completes when the stream is broken.</summary>
    public Task CutAsync => _cut.Task.Within("the cut of a response stream");

    public void CutNext() => Volatile.Write(ref _armed, 1);

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var response = await base.SendAsync(request, cancellationToken);
        if (request.Method == HttpMethod.Post && response.Content.Headers.ContentType?.MediaType == "text/event-stream" && Interlocked.Exchange(ref _armed, 0) == 1)
        {
            var broken = new StreamContent(new CutStream(await response.Content.ReadAsStreamAsync(cancellationToken), _cut));
            broken.Headers.ContentType = response.Content.Headers.ContentType;
            response.Content = broken;
        }

        return response;
    }

    /// <summary>Ends after the first blank line, and takes the connection down with it.</summary>
    private sealed class CutStream(Stream inner, TaskCompletionSource done) : Stream
    {
        private bool _cut;
        private byte _last;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            // One byte at a time, so that nothing behind the cut has been read.
            if (_cut || await inner.ReadAsync(buffer[..1], cancellationToken) == 0)
            {
                return 0;
            }

            var current = buffer.Span[0];
            _cut = current == '\n' && _last == '\n';
            _last = current;
            if (_cut)
            {
                await inner.DisposeAsync();
                done.TrySetResult();
            }

            return 1;
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Flush() => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
