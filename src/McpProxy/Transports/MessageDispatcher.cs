using McpProxy.JsonRpc;

namespace McpProxy.Transports;

/// <summary>Turns lines, and the data of events, into messages for a receiver.</summary>
internal static class MessageDispatcher
{
    /// <summary>Hands on what one line says: a message, the messages of a batch, or its fault.</summary>
    /// <param name="line">The line, without its end.</param>
    /// <param name="fault">The fault of a line that was too long to read.</param>
    /// <param name="receiver">Who gets it.</param>
    /// <param name="onNoise">Takes lines that are no messages, from a peer that prints such against the rules and is owed nothing for them.</param>
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

        return MalformedAsync(line, malformed, receiver, onNoise, cancellationToken);
    }

    private static ValueTask MalformedAsync(
        ReadOnlyMemory<byte> line, JsonRpcFault malformed, IMessageReceiver receiver, Action<ReadOnlyMemory<byte>>? onNoise, CancellationToken cancellationToken)
    {
        if (onNoise is null)
        {
            return receiver.FaultAsync(malformed, cancellationToken);
        }

        // Noise is skipped; but a broken answer is waited for on the other side.
        onNoise(line);
        var scanner = new EnvelopeScanner();
        scanner.Read(line.Span);
        var fault = scanner.Fault(malformed.Code, malformed.Message);
        return fault.IsResponse && !fault.Id.IsNone ? receiver.FaultAsync(fault, cancellationToken) : ValueTask.CompletedTask;
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
                    : MalformedAsync(element, malformed, receiver, onNoise, cancellationToken));
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
