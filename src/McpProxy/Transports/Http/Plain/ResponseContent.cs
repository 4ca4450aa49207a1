using System.Net;

namespace McpProxy.Transports.Http.Plain;

/// <summary>The content of a response: its headers, and its body as it comes from the connection.</summary>
internal sealed class ResponseContent : HttpContent
{
    /// <summary>The body; null when there is none.</summary>
    public ResponseBody? Body { get; set; }

    /// <summary>How long the body is, where the server said so; negative otherwise.</summary>
    public long KnownLength { get; set; } = -1;

    protected override Task<Stream> CreateContentReadStreamAsync() => Task.FromResult((Stream?)Body ?? Stream.Null);

    protected override Stream CreateContentReadStream(CancellationToken cancellationToken) => (Stream?)Body ?? Stream.Null;

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => SerializeToStreamAsync(stream, context, CancellationToken.None);

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken) =>
        Body?.CopyToAsync(stream, cancellationToken) ?? Task.CompletedTask;

    protected override bool TryComputeLength(out long length)
    {
        // What the server said is among the headers.
        length = 0;
        return Body is null;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Body?.Dispose();
        }

        base.Dispose(disposing);
    }
}
