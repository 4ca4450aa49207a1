using McpProxy.Eras.ModernClient;
using McpProxy.JsonRpc;
using McpProxy.Transports;
using Microsoft.Extensions.Logging;

namespace McpProxy.Eras;

/// <summary>
/// Finds out that the server behind a URL was replaced by one that speaks another era: when it answers as no server of the
/// era would that is known of it, it is asked again, on a connection of its own. Nothing of a client's is sent for that.
/// </summary>
internal sealed partial class EraDoubt(IUpstream upstream, EraFacts facts, TimeProvider time, ILogger logger)
{
    /// <summary>How long an answer holds: a server may have other reasons for its errors.</summary>
    private static readonly TimeSpan s_trust = TimeSpan.FromSeconds(10);

    /// <summary>How long it holds that there was none: a server that is being replaced is away for a while.</summary>
    private static readonly TimeSpan s_pause = TimeSpan.FromSeconds(1);

    /// <summary>How long the server may take; who doubts waits for it.</summary>
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(3);

    /// <summary>Results that are longer are not looked into: reading them would cost more than a doubt is worth.</summary>
    private const int ShortResult = 4096;

    private readonly Lock _gate = new();
    private Task _asking = Task.CompletedTask;
    private long? _asked;
    private bool _isAnswered;

    /// <summary>Called when the server has turned out to be another one.</summary>
    public Action? Replaced { get; set; }

    /// <summary>Whether there is anything to doubt: a child that is replaced ends, and its successor is asked anyway.</summary>
    public bool IsPossible { get; } = !upstream.StartsServer && !facts.IsPinned;

    /// <summary>Whether an answer is none that a server of its era gives, or is an error with which requests of the other era are refused.</summary>
    /// <param name="answer">What the server says.</param>
    /// <param name="isModern">Whether it ought to be a modern server's.</param>
    public static bool IsRaisedBy(in JsonRpcMessage answer, bool isModern)
    {
        if (answer.Kind != JsonRpcMessageKind.Response)
        {
            return false;
        }

        if (!answer.IsError)
        {
            return isModern && answer.Result.Length is > 2 and < ShortResult && answer.Result.Span.IndexOf("\"resultType\""u8) < 0;
        }

        return answer.ErrorCode() is JsonRpcErrorCode.UpstreamUnavailable or JsonRpcErrorCode.SessionNotFound or JsonRpcErrorCode.InvalidRequest
            or JsonRpcErrorCode.HeaderMismatch or JsonRpcErrorCode.UnsupportedProtocolVersion;
    }

    /// <summary>Asks the server what it speaks now; once for all who doubt at the same time, and not again right after.</summary>
    public Task ResolveAsync()
    {
        lock (_gate)
        {
            if (!_asking.IsCompleted || (_asked is { } asked && time.GetElapsedTime(asked) < (_isAnswered ? s_trust : s_pause)))
            {
                return _asking;
            }

            (_asked, _isAnswered) = (time.GetTimestamp(), false);

            // It is asked for all, and not as a part of the request that came first.
            using (ExecutionContext.SuppressFlow())
            {
                return _asking = AskAsync();
            }
        }
    }

    private async Task AskAsync()
    {
        // Started under the lock.
        await Task.Yield();
        try
        {
            var speaksLegacy = facts.SpeaksLegacy;
            var (verdict, answer) = await AskAsync(EraProbe.Question);
            if (verdict is not (ProbeVerdict.Modern or ProbeVerdict.Legacy)
                || (verdict == ProbeVerdict.Legacy && answer.ErrorCode() == JsonRpcErrorCode.UpstreamUnavailable && !await TakesInitializeAsync()))
            {
                // Gone, or going, or nobody is signed in: that says nothing.
                return;
            }

            lock (_gate)
            {
                _isAnswered = true;
            }

            var isModern = verdict == ProbeVerdict.Modern;
            if (isModern && speaksLegacy)
            {
                // It may speak both.
                speaksLegacy = await TakesInitializeAsync();
            }

            if (facts.Correct(isModern, isModern ? speaksLegacy : true))
            {
                LogReplaced(logger, upstream.Name, isModern ? "modern" : "legacy");
                Replaced?.Invoke();
            }
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            LogDefect(logger, e, upstream.Name);
        }
    }

    private async Task<bool> TakesInitializeAsync() =>
        await AskAsync(LegacyRequest.Initialize(JsonRpcId.FromNumber(0), default, "{}"u8.ToArray())) is { Verdict: not (ProbeVerdict.Silent or ProbeVerdict.Ended), Answer: var answer }
        && !answer.IsError && !Revision.IsModern(JsonMembers.AsString(JsonMembers.Find(answer.Result, "protocolVersion"u8)));

    private async Task<ProbeOutcome> AskAsync(JsonRpcMessage question)
    {
        await using var connection = new OpenConnection(upstream.Connect());
        return await new EraProbe(question, next: null).AskAsync(connection, s_timeout, time, CancellationToken.None);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name} was replaced by a server that speaks the {Era} era of the protocol")]
    private static partial void LogReplaced(ILogger logger, string name, string era);

    [LoggerMessage(Level = LogLevel.Error, Message = "Defect while finding out what {Name} speaks now")]
    private static partial void LogDefect(ILogger logger, Exception exception, string name);
}
