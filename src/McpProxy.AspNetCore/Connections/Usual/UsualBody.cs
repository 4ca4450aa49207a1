using System.IO.Pipelines;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore.Connections.Usual;

/// <summary>The body of a connection's request: nearly always it has come as a whole, else it is read from the connection as it comes.</summary>
/// <param name="connection">The connection.</param>
internal sealed class UsualBody(IComingBody connection) : PipeReader
{
    private ReadOnlyMemory<byte> _rest;
    private bool _isTaken;

    /// <summary>Whether all of it has come and nothing was read yet.</summary>
    public bool IsWhole { get; private set; }

    /// <summary>What has come of a whole body, and was not read yet.</summary>
    public ReadOnlyMemory<byte> Rest => _rest;

    /// <summary>Makes it the body of another request.</summary>
    /// <param name="body">What has come.</param>
    /// <param name="isWhole">Whether that is all.</param>
    public void Begin(ReadOnlyMemory<byte> body, bool isWhole)
    {
        _rest = isWhole && !body.IsEmpty ? body : default;
        IsWhole = isWhole;
        _isTaken = false;
    }

    /// <summary>Lets go of it: nothing refers to its memory any more.</summary>
    public void End()
    {
        if (IsWhole)
        {
            Take(_rest.Length);
        }
    }

    /// <inheritdoc/>
    /// <exception cref="BadHttpRequestException">It comes too slowly.</exception>
    /// <exception cref="IOException">The client has gone before all of it had come.</exception>
    public override bool TryRead(out ReadResult result)
    {
        var part = _rest;
        var isAll = true;
        if (!IsWhole)
        {
            part = connection.BodyThatCame(out isAll);
        }

        result = new(new(part), isCanceled: false, isCompleted: isAll);
        return isAll || !part.IsEmpty;
    }

    /// <inheritdoc/>
    /// <exception cref="BadHttpRequestException">It comes too slowly.</exception>
    /// <exception cref="IOException">The client has gone before all of it had come.</exception>
    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default) =>
        TryRead(out var result) ? new(result) : ReadLaterAsync(cancellationToken);

    /// <inheritdoc/>
    public override void AdvanceTo(SequencePosition consumed)
    {
        _ = TryRead(out var result);
        Take((int)result.Buffer.Slice(0, consumed).Length);
    }

    /// <inheritdoc/>
    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) => AdvanceTo(consumed);

    /// <inheritdoc/>
    public override void CancelPendingRead()
    {
        // Who waits has a token for it.
    }

    /// <inheritdoc/>
    public override void Complete(Exception? exception = null) => End();

    private async ValueTask<ReadResult> ReadLaterAsync(CancellationToken cancellationToken)
    {
        ReadResult result;
        while (!TryRead(out result))
        {
            await connection.MoreOfBodyAsync().WaitAsync(cancellationToken);
        }

        return result;
    }

    private void Take(int count)
    {
        if (!IsWhole)
        {
            connection.TakeOfBody(count);
            return;
        }

        // What is empty would still refer to memory that others use by then.
        _rest = count == _rest.Length ? default : _rest[count..];
        if (_rest.IsEmpty && !_isTaken)
        {
            // Once, and all of it: nothing else of the connection's is read before.
            _isTaken = true;
            connection.TakeOfBody(int.MaxValue);
        }
    }
}
