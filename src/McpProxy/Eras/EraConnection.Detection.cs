using System.Text;
using McpProxy.Eras.LegacyClient;
using McpProxy.Eras.ModernClient;
using McpProxy.JsonRpc;
using McpProxy.Transports;

namespace McpProxy.Eras;

/// <content>Finding out what the server speaks, and acting on it.</content>
internal sealed partial class EraConnection
{
    /// <summary>The server does not speak the legacy era, or so it seems.</summary>
    /// <param name="refusal">What it answered to <c>initialize</c>; null when it was not asked.</param>
    private async Task ForLegacyClientAsync(JsonRpcMessage? refusal)
    {
        // One that is known to be modern may still be starting; one that has refused is not.
        TimeSpan? patience = refusal is null ? s_patience : null;
        var outcome = await ProbeAsync(EraProbe.Question, patience);
        if (outcome.Verdict is ProbeVerdict.Silent or ProbeVerdict.Ended && _context.Upstream.StartsServer && !await HasFailedToStartAsync())
        {
            // It may have taken initialize for its era, and keep to it.
            await ReplaceOwnAsync();
            if (refusal is not null || outcome.Verdict != ProbeVerdict.Silent)
            {
                outcome = await ProbeAsync(EraProbe.Question, s_patience);
            }
        }

        if (outcome.Verdict == ProbeVerdict.Modern)
        {
            _context.Facts.LearnModern(hasRefusedInitialize: true);
            Announce(toModernClients: false);
            var stage = new LegacyClientStage(_context, Taken(), _first, outcome.Answer);
            Use(stage);
            await stage.StartAsync(_closing.Token);
            return;
        }

        if (refusal is { } answer)
        {
            await AnswerAsync(answer);
            BackToUndecided();
            return;
        }

        // What was known has proved wrong: the server is asked as if nothing were known.
        _context.Facts.Forget();
        if (outcome.Verdict == ProbeVerdict.Unknown)
        {
            await AnswerAsync(JsonSplice.WithId(outcome.Answer, _first.Id));
            BackToUndecided();
            return;
        }

        await PassOnAsync(_own!);
    }

    private async Task ForModernClientAsync()
    {
        var facts = _context.Facts;
        if (facts.IsLegacyOnly)
        {
            await BridgeAsync();
        }
        else if (facts.IsModern)
        {
            await PassOnAsync(_own ?? _stateless!.ConnectModern());
        }
        else if (!_context.Upstream.StartsServer)
        {
            await ForwardFirstAsync();
        }
        else if (_own is null)
        {
            var outcome = await _stateless!.ProbeAsync(_first, _principal).WaitAsync(_closing.Token);
            await ChooseAsync(outcome, answer: null, () => _stateless.ConnectModern());
        }
        else
        {
            // Before anything else: some servers would take a modern request for a legacy one and do what it says.
            var isAsked = _first.Is("server/discover"u8);
            var outcome = await new ChildSearch(_context, _sessions).AskAsync(_own, isAsked ? _first : EraProbe.Question, this, _first, _principal, _closing.Token);
            if (outcome.Verdict is ProbeVerdict.Ended && await HasFailedToStartAsync())
            {
                _ended.TrySetResult(await _own.Ended);
                return;
            }

            await ChooseAsync(outcome, isAsked ? outcome.Answer : null, () => _own);
        }
    }

    /// <summary>Over HTTP the request itself is the question: a server that does not understand it refuses it and does nothing.</summary>
    private async Task ForwardFirstAsync()
    {
        if (_own is null)
        {
            _own = new(_context.Upstream.Connect());
            _own.GiveTo(this);
        }

        await _own.SendAsync(_first, default, _closing.Token);
        await Task.WhenAny(_firstAnswer.Task, _hurry.Task, Task.Delay(_context.Options.ProbeTimeout, _context.Time, _closing.Token));
        _closing.Token.ThrowIfCancellationRequested();
        JsonRpcMessage? answer = _firstAnswer.Task.IsCompletedSuccessfully ? await _firstAnswer.Task : null;
        if (answer is { } first)
        {
            var verdict = _first.Is("server/discover"u8) ? ProbeOutcome.Of(first)
                : first.IsError ? ProbeOutcome.IsModernError(first) ? ProbeVerdict.Modern : ProbeVerdict.Unknown
                : JsonMembers.Find(first.Result, "resultType"u8).IsEmpty ? ProbeVerdict.Unknown : ProbeVerdict.Modern;
            if (verdict != ProbeVerdict.Unknown || first.ErrorCode() == JsonRpcErrorCode.SignInNeeded)
            {
                await ChooseAsync(new(verdict, first), first, () => _own);
                return;
            }
        }

        // An answer that servers of both eras give, or one that takes its time while others wait.
        var outcome = await ProbeAsync(EraProbe.Question);
        answer ??= _firstAnswer.Task.IsCompletedSuccessfully ? await _firstAnswer.Task : null;
        if (answer is { IsError: true } failure && (outcome.Verdict == ProbeVerdict.Silent || (_own.HasRequestStreams && failure.ErrorCode() == JsonRpcErrorCode.UpstreamUnavailable)))
        {
            // A server that is gone, or went away over the request: that says nothing about what it speaks, and the request must not be made again.
            await AnswerAsync(failure);
            BackToUndecided();
            return;
        }

        if (answer is { IsError: false } result && outcome.Verdict != ProbeVerdict.Modern)
        {
            // A legacy server that keeps no sessions has done what was asked of it.
            await BridgeAsync(isAnswered: true);
            await AnswerAsync(ModernResult.From(result, _first.Id, Encoding.UTF8.GetString(_first.Method), default));
            return;
        }

        await ChooseAsync(outcome, answer, () => _own, isSent: true);
    }

    /// <summary>Connects a modern client with what the server has turned out to be.</summary>
    /// <param name="outcome">What the server has turned out to be.</param>
    /// <param name="answer">Its answer to the client's first request; null when there is none yet.</param>
    /// <param name="modern">The connection that goes straight to it.</param>
    /// <param name="isSent">Whether the client's first request is on its way on that connection.</param>
    private async Task ChooseAsync(ProbeOutcome outcome, JsonRpcMessage? answer, Func<IConnection> modern, bool isSent = false)
    {
        switch (outcome.Verdict)
        {
            case ProbeVerdict.Modern:
                _context.Facts.LearnModern();
                if (answer is { } given)
                {
                    Use(modern());
                    await AnswerAsync(given);
                }
                else if (isSent)
                {
                    Use(modern());
                    if (_firstAnswer.Task.IsCompletedSuccessfully)
                    {
                        await AnswerAsync(await _firstAnswer.Task);
                    }
                }
                else
                {
                    await PassOnAsync(modern());
                }

                break;
            case ProbeVerdict.Unknown:
                await AnswerAsync(answer ?? JsonSplice.WithId(outcome.Answer, _first.Id));
                BackToUndecided();
                break;
            case ProbeVerdict.Ended when !_context.Upstream.StartsServer && _own is { Ended.IsCompleted: true }:
                // Not even a connection.
                if (answer is { } refusal)
                {
                    await AnswerAsync(refusal);
                }

                _ended.TrySetResult(await _own.Ended);
                break;
            default:
                if (outcome.Verdict == ProbeVerdict.Legacy && _own is not null && (!isSent || answer is not null))
                {
                    // It has nothing left to do there, and can be the first session's.
                    await _sessions.OfferAsync(Taken());
                }

                await BridgeAsync();
                break;
        }
    }

    private async Task PassOnAsync(IConnection connection)
    {
        Use(connection);
        await connection.SendAsync(_first, default, _closing.Token);
    }

    /// <summary>Serves the client through legacy sessions.</summary>
    private async Task BridgeAsync(bool isAnswered = false)
    {
        Announce(toModernClients: true);
        var stage = new ModernClientStage(_context, _sessions, _principal, staysWithServer: _stateless is null);
        var unused = Interlocked.Exchange(ref _own, null);
        if (unused is not null && _context.Facts.IsLegacyOnly && _context.Upstream.StartsServer && !unused.Ended.IsCompleted)
        {
            // A child that nothing was said to can be the first session's.
            await _sessions.OfferAsync(unused);
            unused = null;
        }

        Use(stage);
        if (!isAnswered)
        {
            await stage.SendAsync(_first, default, _closing.Token);
        }

        if (unused is not null)
        {
            // Last: one that has fallen silent may take its time to end.
            await unused.DisposeAsync();
        }
    }

    /// <summary>Refuses a client of an era that is not offered, as a server would that does not know it.</summary>
    private async Task RefuseAsync()
    {
        await AnswerAsync(_first.Is("initialize"u8)
            ? JsonRpcWriter.Error(
                _first.Id,
                JsonRpcErrorCode.UnsupportedProtocolVersion,
                $"Unsupported protocol version: this server speaks {Revision.Modern}",
                (byte[])[.. "{\"supported\":["u8, .. ObjectEdit.Quoted(Revision.Modern), .. "],\"requested\":"u8, .. Requested(_first), (byte)'}'])
            : JsonRpcWriter.Error(_first.Id, JsonRpcErrorCode.MethodNotFound, "Method not found: this server starts with an initialize request"));
        BackToUndecided();
    }

    private static ReadOnlySpan<byte> Requested(in JsonRpcMessage initialize) =>
        JsonMembers.Find(initialize.Params, "protocolVersion"u8).Span is [(byte)'"', ..] version ? version : "\"\""u8;

    private Task<ProbeOutcome> ProbeAsync(JsonRpcMessage question, TimeSpan? patience = null)
    {
        // Over HTTP the question may have to wait until the transport is known.
        var timeout = !_context.Upstream.StartsServer && _context.Options.ProbeTimeout < s_httpTimeout ? s_httpTimeout : _context.Options.ProbeTimeout;
        return new EraProbe(question, this).AskAsync(_own!, patience ?? timeout, _context.Time, _closing.Token);
    }

    private async Task<bool> HasFailedToStartAsync() =>
        _own!.Ended.IsCompleted && (await _own.Ended).Reason is ConnectionEndReason.StartFailed or ConnectionEndReason.ConnectFailed or ConnectionEndReason.Closed;

    private async Task ReplaceOwnAsync()
    {
        var old = _own!;
        _own = new(_context.Upstream.Connect());
        await old.DisposeAsync();
    }
}
