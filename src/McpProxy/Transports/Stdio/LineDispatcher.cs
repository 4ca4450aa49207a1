using McpProxy.JsonRpc;

namespace McpProxy.Transports.Stdio;

/// <summary>Turns lines into messages for a receiver.</summary>
internal static class LineDispatcher
{
    /// <summary>Hands on what one line says: a message, the messages of a batch, or its fault.</summary>
    /// <param name="line">The line, without its end.</param>
    /// <param name="fault">The fault of a line that was too long to read.</param>
    /// <param name="receiver">Who gets it.</param>
    /// <param name="onNoise">Takes lines that nobody can be answered for, in place of the receiver.</param>
    /// <param name="cancellationToken">The connection is closing.</param>
    public static ValueTask DispatchAsync(
        ReadOnlyMemory<byte> line,
        JsonRpcFault? fault,
        IMessageReceiver receiver,
        Action<ReadOnlyMemory<byte>>? onNoise,
        CancellationToken cancellationToken)
    {
        if (fault is { } tooLong)
        {
            return receiver.FaultAsync(tooLong, cancellationToken);
        }

        if (line.Span.Trim(" \t\r"u8).IsEmpty)
        {
            return ValueTask.CompletedTask;
        }

        if (JsonRpcMessage.IsBatch(line.Span))
        {
            return DispatchBatchAsync(line, receiver, onNoise, cancellationToken);
        }

        if (JsonRpcMessage.TryParse(line, out var message, out var malformed))
        {
            return receiver.ReceiveAsync(message, default, cancellationToken);
        }

        if (onNoise is not null && malformed.Id.IsNone)
        {
            onNoise(line);
            return ValueTask.CompletedTask;
        }

        return receiver.FaultAsync(malformed, cancellationToken);
    }

    private static async ValueTask DispatchBatchAsync(
        ReadOnlyMemory<byte> line,
        IMessageReceiver receiver,
        Action<ReadOnlyMemory<byte>>? onNoise,
        CancellationToken cancellationToken)
    {
        if (JsonRpcMessage.TrySplitBatch(line, out var elements, out var fault))
        {
            foreach (var element in elements)
            {
                // A batch in a batch is an invalid request, not another level.
                await (JsonRpcMessage.TryParse(element, out var message, out var malformed)
                    ? receiver.ReceiveAsync(message, default, cancellationToken)
                    : receiver.FaultAsync(malformed, cancellationToken));
            }
        }
        else if (onNoise is not null)
        {
            onNoise(line);
        }
        else
        {
            await receiver.FaultAsync(fault, cancellationToken);
        }
    }
}
