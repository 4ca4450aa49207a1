using System.Buffers;

namespace McpProxy.Transports.Http.Plain;

/// <summary>What a server answered: mostly JSON that is here already, and otherwise a response that is still to be read.</summary>
/// <remarks>Small: on its way it is copied a few times.</remarks>
internal readonly struct PlainAnswer : IDisposable
{
    /// <summary>The buffer, or the response.</summary>
    private readonly object? _holder;
    private readonly int _start;
    private readonly int _length;

    /// <summary>An answer whose head says what most say.</summary>
    /// <param name="buffer">A buffer from the shared pool, which is this answer's now.</param>
    /// <param name="body">The part of it that is the body.</param>
    public PlainAnswer(byte[] buffer, Range body)
    {
        _holder = buffer;
        (_start, _length) = body.GetOffsetAndLength(buffer.Length);
    }

    /// <summary>Any other answer.</summary>
    public PlainAnswer(HttpResponseMessage response) => _holder = response;

    /// <summary>The JSON; valid until this is disposed of.</summary>
    public ReadOnlyMemory<byte> Body => _holder is byte[] buffer ? buffer.AsMemory(_start, _length) : default;

    /// <summary>The response, where there is more to it than <see cref="Body"/>; it is the caller's to dispose of.</summary>
    public HttpResponseMessage? Response => _holder as HttpResponseMessage;

    public void Dispose()
    {
        if (_holder is byte[] buffer)
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
