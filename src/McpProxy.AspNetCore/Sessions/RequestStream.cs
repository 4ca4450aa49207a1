using McpProxy.AspNetCore.Responses;
using McpProxy.JsonRpc;

namespace McpProxy.AspNetCore.Sessions;

/// <summary>
/// One stream of a legacy session as the protocol sees it: that of a POST's requests, or the session's own. It outlives the
/// HTTP response that it is read through: a client may come back for the rest.
/// </summary>
internal sealed class RequestStream
{
    private const int FewRequests = 8;
    private static readonly TimeSpan s_takeOverTimeout = TimeSpan.FromSeconds(1);

    private Turn _turn;

    private readonly ReplayBuffer _replay;

    // Most have one request, and few have so many that looking through them would take longer.
    private readonly ICollection<JsonRpcId>? _many;
    private JsonRpcId _only;
    private List<byte[]>? _answers;
    private EventStream? _response;
    private volatile bool _isClosed;
    private bool _hasEvents;
    private long _lastSent;

    /// <param name="number">The stream's number in the session; 0 is the session's own.</param>
    /// <param name="requests">The requests that it is to answer.</param>
    /// <param name="replay">What is kept for clients that come back.</param>
    public RequestStream(int number, List<JsonRpcId> requests, ReplayBuffer replay)
    {
        Number = number;
        _replay = replay;
        _many = requests.Count <= FewRequests ? requests : requests.ToHashSet();
    }

    /// <summary>A stream that is to answer one request.</summary>
    public RequestStream(int number, JsonRpcId request, ReplayBuffer replay)
    {
        Number = number;
        _replay = replay;
        _only = request;
    }

    /// <summary>Whether a client can come back to it for what it has missed.</summary>
    public bool HasEventIds { get; init; } = true;

    /// <summary>The stream's number in the session; 0 is the session's own.</summary>
    public int Number { get; }

    /// <summary>Whether every request of the stream was answered.</summary>
    public bool IsFinished { get; private set; }

    /// <summary>The id of the last event that a client was sent: where a new one would come in.</summary>
    public EventId LastSent => new(Number, Volatile.Read(ref _lastSent));

    /// <summary>Whether a client reads it right now, and can be sent more than answers.</summary>
    public bool CanCarryEvents => _response is { CanCarryEvents: true };

    /// <summary>A stream whose requests were all answered: what is left of it can still be read.</summary>
    public static RequestStream Finished(int number, ReplayBuffer replay) => new(number, [], replay) { IsFinished = true };

    /// <summary>Reads the stream through a response, which has nothing to be told of what came before.</summary>
    /// <returns>The response that the stream was read through before.</returns>
    public EventStream? Begin(EventStream response)
    {
        var previous = Interlocked.Exchange(ref _response, response);
        if (_isClosed)
        {
            // It may have been closed on another thread, which found the one before.
            response.Complete();
        }

        return previous;
    }

    /// <summary>Reads the stream through a response from now on; one that did so before is ended.</summary>
    /// <param name="response">The response.</param>
    /// <param name="after">The last event that the client has, or null: what it was not sent yet is sent.</param>
    public async Task AttachAsync(EventStream response, long? after = null)
    {
        var turn = _turn.EnterAsync();
        try
        {
            await turn.WaitAsync(s_takeOverTimeout);
        }
        catch (TimeoutException)
        {
            // The response before is stuck in a write that its client does not read.
            _response?.Break();
            await turn;
        }

        try
        {
            Begin(response)?.Complete();
            foreach (var (id, data) in _hasEvents || after is not null ? _replay.After(Number, after ?? _lastSent) : [])
            {
                if (!await response.SendAsync(data, id))
                {
                    return;
                }

                MarkSent(id.Sequence);
                _replay.Sent(id.Sequence);
            }

            if (IsFinished)
            {
                await response.CompleteEmptyAsync();
            }
        }
        finally
        {
            _turn.Leave();
        }
    }

    /// <summary>Sends a message, or keeps it for when the client comes back.</summary>
    /// <returns>False when this stream cannot carry it: the client takes nothing but the answers.</returns>
    public ValueTask<bool> SendAsync(JsonRpcMessage message)
    {
        var turn = _turn.EnterAsync();
        if (!turn.IsCompletedSuccessfully || message.Kind != JsonRpcMessageKind.Response || _only.IsNone || _only != message.Id
            || _hasEvents || _response is not { AcceptsEvents: true, IsUndecided: true } response)
        {
            return SendInTurnAsync(turn, message);
        }

        // The usual answer: to the stream's only request, before anything else was sent.
        _only = default;
        IsFinished = true;
        var answering = response.TryAnswerJsonAsync(message.Utf8, 200);
        if (!answering.IsCompletedSuccessfully)
        {
            return AnswerSlowlyAsync(answering, message);
        }

#pragma warning disable VSTHRD103 // It has completed.
        if (!answering.Result)
#pragma warning restore VSTHRD103
        {
            return AnswerSlowlyAsync(new(false), message);
        }

        _turn.Leave();
        return new(true);
    }

    private async ValueTask<bool> AnswerSlowlyAsync(ValueTask<bool> answering, JsonRpcMessage message)
    {
        try
        {
            return await answering || await SendEventAsync(message, isLast: true);
        }
        finally
        {
            _turn.Leave();
        }
    }

    private async ValueTask<bool> SendInTurnAsync(Task turn, JsonRpcMessage message)
    {
        await turn;
        try
        {
            var isAnswer = message.Kind == JsonRpcMessageKind.Response && TryTake(message.Id);
            var isLast = isAnswer && !IsPending;
            if (_response is { AcceptsEvents: false } response)
            {
                return isAnswer && await CollectAsync(response, message, isLast);
            }

            IsFinished |= isLast;
            return (isLast && !_hasEvents && _response is { IsUndecided: true } undecided && await undecided.TryAnswerJsonAsync(message.Utf8, 200))
                || await SendEventAsync(message, isLast);
        }
        finally
        {
            _turn.Leave();
        }
    }

    private async ValueTask<bool> SendEventAsync(JsonRpcMessage message, bool isLast)
    {
        _hasEvents = true;
        if (!HasEventIds)
        {
            var isSent = _response is { } only && await only.SendAsync(message.Utf8);
            if (isLast)
            {
                _response?.Complete();
            }

            return isSent;
        }

        var sequence = _replay.Next();
        var isLarge = _replay.IsLarge(message.Utf8.Length);
        if (!isLarge)
        {
            _replay.Keep(Number, sequence, message.Utf8.Span);
        }

        if (_response is { } open && await open.SendAsync(message.Utf8, new EventId(Number, sequence)))
        {
            MarkSent(sequence);
            if (isLast)
            {
                open.Complete();
            }
        }
        else if (isLarge)
        {
            _replay.Keep(Number, sequence, message.Utf8.Span);
        }

        return true;
    }

    /// <summary>Gives up a request that the client cancelled: no answer will come for it.</summary>
    public async Task CancelAsync(JsonRpcId request)
    {
        await _turn.EnterAsync();
        try
        {
            if (TryTake(request) && !IsPending)
            {
                IsFinished = true;
                if (_response is { } response)
                {
                    await response.CompleteEmptyAsync();
                }
            }
        }
        finally
        {
            _turn.Leave();
        }
    }

    /// <summary>Ends the response that the stream is read through, if any.</summary>
    public void Close()
    {
        _isClosed = true;
        Interlocked.MemoryBarrier();
        _response?.Complete();
    }

    private bool IsPending => _many is { Count: > 0 } || !_only.IsNone;

    private bool TryTake(JsonRpcId request)
    {
        if (_many is not null)
        {
            return _many.Remove(request);
        }

        var isMine = !_only.IsNone && _only == request;
        _only = isMine ? default : _only;
        return isMine;
    }

    /// <summary>Gathers the answers for a client that takes nothing but JSON: one object, or an array for a batch.</summary>
    private async Task<bool> CollectAsync(EventStream response, JsonRpcMessage answer, bool isLast)
    {
        _answers ??= [];
        _answers.Add(answer.Utf8.ToArray());
        if (!isLast)
        {
            return true;
        }

        IsFinished = true;
        return await response.TryAnswerJsonAsync(_answers.Count == 1 ? _answers[0] : [(byte)'[', .. Joined(), (byte)']'], 200);

        IEnumerable<byte> Joined() => _answers!.SelectMany((bytes, index) => index == 0 ? bytes : bytes.Prepend((byte)','));
    }

    private void MarkSent(long sequence) => Volatile.Write(ref _lastSent, Math.Max(_lastSent, sequence));
}
