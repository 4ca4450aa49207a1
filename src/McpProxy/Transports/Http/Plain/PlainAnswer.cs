using System.Buffers;

namespace McpProxy.Transports.Http.Plain;

/// <summary>What a server answered: mostly JSON that is here already, and otherwise a response that is still to be read.</summary>
internal readonly struct PlainAnswer : IDisposable
{
    private readonly byte[]? _buffer;

    /// <summary>An answer whose head says what most say.</summary>
    /// <param name="buffer">A buffer from the shared pool, which is this answer's now.</param>
    /// <param name="body">The part of it that is the body.</param>
    public PlainAnswer(byte[] buffer, Range body)
    {
        _buffer = buffer;
        Body = buffer.AsMemory(body);
    }

    /// <summary>Any other answer.</summary>
    public PlainAnswer(HttpResponseMessage response) => Response = response;

    /// <summary>The JSON; valid until this is disposed of.</summary>
    public ReadOnlyMemory<byte> Body { get; }

    /// <summary>The response, where there is more to it than <see cref="Body"/>; it is the caller's to dispose of.</summary>
    public HttpResponseMessage? Response { get; }

    public void Dispose()
    {
        if (_buffer is not null)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
        }
    }
}
