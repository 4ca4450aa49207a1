using System.Buffers;
using System.IO.Pipelines;

namespace McpProxy.AspNetCore.Connections.Posts;

/// <summary>A request body that has come as a whole.</summary>
/// <param name="taken">Told when all of it was read: its memory may be another's from then on.</param>
internal sealed class WholeBody(Action taken) : PipeReader
{
    private ReadOnlyMemory<byte> _rest;
    private bool _isTaken;

    /// <summary>What was not read yet.</summary>
    public ReadOnlyMemory<byte> Rest => _rest;

    /// <summary>Makes it the body of another request.</summary>
    public void Begin(ReadOnlyMemory<byte> body)
    {
        _rest = body;
        _isTaken = false;
    }

    /// <summary>Lets go of it: nothing refers to its memory any more.</summary>
    public void End() => Advance(_rest.Length);

    /// <inheritdoc/>
    public override bool TryRead(out ReadResult result)
    {
        result = new(new(_rest), isCanceled: false, isCompleted: true);
        return true;
    }

    /// <inheritdoc/>
    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        _ = TryRead(out var result);
        return new(result);
    }

    /// <inheritdoc/>
    public override void AdvanceTo(SequencePosition consumed) => Advance(new ReadOnlySequence<byte>(_rest).Slice(0, consumed).Length);

    /// <inheritdoc/>
    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) => AdvanceTo(consumed);

    /// <inheritdoc/>
    public override void CancelPendingRead()
    {
        // Nobody ever waits.
    }

    /// <inheritdoc/>
    public override void Complete(Exception? exception = null) => End();

    private void Advance(long count)
    {
        _rest = _rest[(int)count..];
        if (_rest.IsEmpty && !_isTaken)
        {
            _isTaken = true;
            _rest = default;
            taken();
        }
    }
}
