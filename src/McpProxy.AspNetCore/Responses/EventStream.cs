using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using McpProxy.Collections;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore.Responses;

/// <summary>
/// One open HTTP response that messages go out on. It stays undecided between JSON and an event stream as long as it can:
/// a request that is answered at once gets plain JSON.
/// </summary>
internal sealed class EventStream : Linked<EventStream>, IAsyncDisposable
{
    /// <summary>How long a client may leave a write unread.</summary>
    private static readonly TimeSpan s_unreadTimeout = TimeSpan.FromSeconds(30);

    private readonly HttpContext _context;
    private readonly TimeProvider _time;
    private Turn _turn;
    private readonly TaskCompletionSource _completed;
    private readonly Action<EventStream>? _ended;
    private CancellationTokenRegistration _aborted;
    private long _lastWrite;
    private long _writingSince;
    private volatile bool _started;
    private bool _isAnswered;
    private int _isOver;

    /// <param name="context">The request.</param>
    /// <param name="time">The clock.</param>
    /// <param name="continuesInline">Whether the request goes on where its answer was written, and not on another thread: for who knows what else runs there.</param>
    /// <param name="ended">
    /// Called when the response is over and nothing touches it any more, before <see cref="Completed"/>. With it the response needs nobody who waits for its end and
    /// disposes of it, but somebody who has it <see cref="Watch"/> once it may end.
    /// </param>
    public EventStream(HttpContext context, TimeProvider time, bool continuesInline, Action<EventStream>? ended = null)
    {
        _completed = new(continuesInline ? TaskCreationOptions.None : TaskCreationOptions.RunContinuationsAsynchronously);
        _context = context;
        _time = time;
        _ended = ended;
        _lastWrite = time.GetTimestamp();
        if (ended is null)
        {
            Watch();
        }
    }

    /// <summary>Whether the client takes a plain JSON answer.</summary>
    public bool AcceptsJson { get; init; }

    /// <summary>Whether the client takes an event stream.</summary>
    public bool AcceptsEvents { get; init; } = true;

    /// <summary>Called before the headers go out, when more can be added to them.</summary>
    public Action<HttpResponse>? Starting { get; init; }

    /// <summary>The id of a first event without data, so that a client can resume before anything was sent (MCP 2025-11-25).</summary>
    public EventId? FirstEventId { get; init; }

    /// <summary>Whether anything was sent.</summary>
    public bool HasStarted => _started;

    /// <summary>
    /// Whether to become an event stream when the answer takes longer than a moment, so that the client has an event id to
    /// come back with. Without it the response waits for the answer, whose HTTP status may still matter.
    /// </summary>
    public bool StartsEventsEarly { get; init; }

    /// <summary>Whether nothing has been sent yet, so that it may still become either.</summary>
    public bool IsUndecided => !_started && !IsOver;

    /// <summary>Completes when nothing more can go out: the last message was sent, or the client is gone.</summary>
    public Task Completed => _completed.Task;

    /// <summary>Whether the client has gone away before the end.</summary>
    public bool IsAborted { get; private set; }

    /// <summary>Whether this response can carry a message that is not the answer itself.</summary>
    public bool CanCarryEvents => AcceptsEvents && !IsOver;

    private bool IsOver => Volatile.Read(ref _isOver) != 0;

    /// <summary>From now on the response ends when the client goes away.</summary>
    public void Watch()
    {
        _aborted = _context.RequestAborted.UnsafeRegister(static state => ((EventStream)state!).Abort(), this);
        if (IsOver)
        {
            // It may have ended on another thread, which found nothing to take back yet.
            _ = _aborted.Unregister();
        }
    }

    /// <summary>Makes the response an event stream now.</summary>
    public Task<bool> StartEventsAsync() => ExclusiveAsync(() => new(StartAsync()));

    /// <summary>Ends a response that has no answer to give.</summary>
    public async Task CompleteEmptyAsync()
    {
        if (AcceptsEvents)
        {
            await StartEventsAsync();
        }

        Complete();
    }

    /// <summary>Answers with JSON, if that is still open and the client takes it.</summary>
    /// <returns>False when it has to go out as an event, now or when the client comes back.</returns>
    public ValueTask<bool> TryAnswerJsonAsync(ReadOnlyMemory<byte> body, int status)
    {
        if (!AcceptsJson)
        {
            return new(false);
        }

        var turn = _turn.EnterAsync();
        return turn.IsCompletedSuccessfully ? AnswerJsonInTurnAsync(body, status) : AnswerJsonAfterAsync(turn, body, status);
    }

    private async ValueTask<bool> AnswerJsonAfterAsync(Task turn, ReadOnlyMemory<byte> body, int status)
    {
        await turn;
        return await AnswerJsonInTurnAsync(body, status);
    }

    /// <summary>Answers, and leaves the turn. Nearly every answer is written at once, and nobody waits for it.</summary>
    private ValueTask<bool> AnswerJsonInTurnAsync(ReadOnlyMemory<byte> body, int status)
    {
        if (_started || IsOver)
        {
            _turn.Leave();
            return new(false);
        }

        _started = true;
        _isAnswered = true;
#pragma warning disable CA2012 // Awaited once, after a look at whether that takes its time.
        ValueTask writing;
        try
        {
            Starting?.Invoke(_context.Response);
            HttpReply.StartJson(_context.Response, status, body.Length);
            writing = body.Length <= HttpReply.Slice ? WriteAsync(_context.Response.BodyWriter, body) : WriteSlicesAsync(body);
        }
        catch (Exception e)
        {
            writing = ValueTask.FromException(e);
        }
#pragma warning restore CA2012

        if (!writing.IsCompletedSuccessfully)
        {
            return FinishJsonAsync(writing);
        }

        _turn.Leave();

        // Last: the request may go on right here, and its end takes the turn.
        End();
        return new(true);
    }

    private async ValueTask WriteSlicesAsync(ReadOnlyMemory<byte> body)
    {
        for (; body.Length > HttpReply.Slice; body = body[HttpReply.Slice..])
        {
            await WriteAsync(_context.Response.BodyWriter, body[..HttpReply.Slice]);
        }

        await WriteAsync(_context.Response.BodyWriter, body);
    }

    private async ValueTask<bool> FinishJsonAsync(ValueTask writing)
    {
        try
        {
            await writing;
        }
        catch (Exception e) when (IsGone(e))
        {
            Abort();
            return false;
        }
        finally
        {
            _turn.Leave();
        }

        End();
        return true;
    }

    /// <summary>Sends an event.</summary>
    /// <returns>False when the client is gone.</returns>
    public Task<bool> SendAsync(ReadOnlyMemory<byte> data, EventId? id = null, string? type = null) => ExclusiveAsync(async () =>
    {
        await StartAsync();
        var writer = _context.Response.BodyWriter;
        if (type is not null)
        {
            Write(writer, "event: "u8, type);
        }

        if (id is not null)
        {
            Write(writer, "id: "u8, id.Value.ToString());
        }

        writer.Write("data: "u8);
        var rest = data;
        while (rest.Length > HttpReply.Slice)
        {
            WriteOnOneLine(writer, rest.Span[..HttpReply.Slice]);
            await FlushAsync(writer);
            rest = rest[HttpReply.Slice..];
        }

        WriteOnOneLine(writer, rest.Span);
        writer.Write("\n\n"u8);
        await FlushAsync(writer);
    });

    /// <summary>Becomes an event stream, if the answer has taken longer than a moment.</summary>
    public Task StartIfSlowAsync(TimeSpan moment) =>
        IsUndecided && StartsEventsEarly && AcceptsEvents && _time.GetElapsedTime(Volatile.Read(ref _lastWrite)) >= moment ? StartEventsAsync() : Task.CompletedTask;

    /// <summary>Breaks the connection off: the client has stopped reading, or another response takes this one's place.</summary>
    public void Break() => _context.Abort();

    /// <summary>Sends a comment when the stream has been silent for a while, and gives up a client that has not read for longer.</summary>
    public Task KeepAliveAsync(TimeSpan silence)
    {
        var writingSince = Volatile.Read(ref _writingSince);
        if (writingSince != 0 && _time.GetElapsedTime(writingSince) > s_unreadTimeout)
        {
            Break();
            return Task.CompletedTask;
        }

        return IsOver || _isAnswered || !AcceptsEvents || _time.GetElapsedTime(Volatile.Read(ref _lastWrite)) < silence
            ? Task.CompletedTask
            : ExclusiveAsync(async () =>
            {
                await StartAsync();
                var writer = _context.Response.BodyWriter;
                writer.Write(":\n\n"u8);
                await FlushAsync(writer);
            });
    }

    /// <summary>Ends the response in order, after what is being written.</summary>
    public void Complete() => End();

    /// <summary>Ends the response and waits for a write under way: the response must not be touched afterwards.</summary>
    public async ValueTask DisposeAsync()
    {
        End();
        await _aborted.DisposeAsync();
        await _turn.EnterAsync();
        _turn.Leave();
    }

    private void Abort()
    {
        IsAborted = !IsOver;
        End();
    }

    private void End()
    {
        if (Interlocked.Exchange(ref _isOver, 1) != 0)
        {
            return;
        }

        if (_ended is null)
        {
            _completed.TrySetResult();
            return;
        }

        _ = _aborted.Unregister();
        var turn = _turn.EnterAsync();
        if (turn.IsCompleted)
        {
            EndInTurn();
        }
        else
        {
            // Something is being written: what is in its way knows that the response is over.
            _ = EndAfterAsync(turn);
        }
    }

    private async Task EndAfterAsync(Task turn)
    {
        await turn;
        EndInTurn();
    }

    private void EndInTurn()
    {
        _turn.Leave();
        _ended!(this);
        _completed.TrySetResult();
    }

    private async Task<bool> ExclusiveAsync(Func<ValueTask> write)
    {
        await _turn.EnterAsync();
        try
        {
            if (IsOver || _isAnswered)
            {
                return false;
            }

            await write();
            return true;
        }
        catch (Exception e) when (IsGone(e))
        {
            Abort();
            return false;
        }
        finally
        {
            _turn.Leave();
        }
    }

    private static bool IsGone(Exception e) => e is IOException or OperationCanceledException or ObjectDisposedException;

    private async Task StartAsync()
    {
        if (_started)
        {
            return;
        }

        _started = true;
        var response = _context.Response;
        response.ContentType = "text/event-stream";
        response.Headers.CacheControl = "no-cache";

        // nginx would otherwise hold events back in its buffer.
        response.Headers["X-Accel-Buffering"] = "no";
        Starting?.Invoke(response);
        if (FirstEventId is not null)
        {
            Write(response.BodyWriter, "id: "u8, FirstEventId.Value.ToString());
            response.BodyWriter.Write("retry: 1000\ndata: \n\n"u8);
        }

        await FlushAsync(response.BodyWriter);
    }

    private ValueTask FlushAsync(PipeWriter writer) => WriteAsync(writer, default);

    private ValueTask WriteAsync(PipeWriter writer, ReadOnlyMemory<byte> bytes)
    {
        var writing = bytes.IsEmpty ? writer.FlushAsync(_context.RequestAborted) : writer.WriteAsync(bytes, _context.RequestAborted);
#pragma warning disable VSTHRD103 // It has completed.
        return writing.IsCompletedSuccessfully ? Written(writing.Result) : WriteSlowlyAsync(writing);
#pragma warning restore VSTHRD103
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask WriteSlowlyAsync(ValueTask<FlushResult> writing)
    {
        // Zero means that nothing is being written; a clock may well begin there.
        Volatile.Write(ref _writingSince, Math.Max(1, _time.GetTimestamp()));
        try
        {
            await Written(await writing);
        }
        finally
        {
            Volatile.Write(ref _writingSince, 0);
        }
    }

    private ValueTask Written(FlushResult result)
    {
        if (result.IsCompleted)
        {
            // Nobody takes it any more, which may be known here before it is known to the request.
            return ValueTask.FromException(new IOException("the client is gone"));
        }

        if (!_isAnswered)
        {
            Volatile.Write(ref _lastWrite, _time.GetTimestamp());
        }

        return ValueTask.CompletedTask;
    }

    private static void Write(PipeWriter writer, ReadOnlySpan<byte> field, string value)
    {
        writer.Write(field);
        writer.Write(System.Text.Encoding.UTF8.GetBytes(value));
        writer.Write("\n"u8);
    }

    /// <summary>Line breaks of a message can only stand between its tokens, where a space means the same; in an event they would begin another field.</summary>
    private static void WriteOnOneLine(PipeWriter writer, ReadOnlySpan<byte> data)
    {
        int at;
        while ((at = data.IndexOfAny((byte)'\r', (byte)'\n')) >= 0)
        {
            writer.Write(data[..at]);
            writer.Write(" "u8);
            data = data[(at + 1)..];
        }

        writer.Write(data);
    }
}
