using System.Net;

namespace McpProxy.Transports.Http.Plain;

/// <summary>The body of a request that is in memory already, for who sends it to see without a copy.</summary>
internal sealed class MessageContent(ReadOnlyMemory<byte> bytes) : HttpContent
{
    /// <summary>The body; valid as long as the exchange.</summary>
    public ReadOnlyMemory<byte> Bytes => bytes;

    protected override bool TryComputeLength(out long length)
    {
        length = bytes.Length;
        return true;
    }

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => stream.WriteAsync(bytes).AsTask();

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken) =>
        stream.WriteAsync(bytes, cancellationToken).AsTask();
}
