using McpProxy.Eras.ModernClient;
using McpProxy.JsonRpc;
using McpProxy.Transports;

namespace McpProxy.Eras;

/// <summary>
/// Finds out which era a child speaks, for a modern client. A child may be silent because it is of the legacy era, or because
/// it has not finished starting: when the time for an answer is over another one is started and asked in the legacy way,
/// and whichever answers first decides.
/// </summary>
internal sealed class ChildSearch(BridgeContext context, LegacySessionPool sessions)
{
    /// <summary>How long a child that has answered nothing is waited for when the legacy way has failed too.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    /// <summary>Asks a child.</summary>
    /// <param name="connection">The child.</param>
    /// <param name="question">The question: the client's own, or the proxy's.</param>
    /// <param name="next">Who gets what the child says besides.</param>
    /// <param name="first">The client's first request, whose session is opened in the legacy way if need be.</param>
    /// <param name="principal">Who the client is.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public async Task<ProbeOutcome> AskAsync(
        OpenConnection connection, JsonRpcMessage question, IMessageReceiver? next, JsonRpcMessage first, string? principal, CancellationToken cancellationToken)
    {
        var probe = new EraProbe(question, next);
        var outcome = await probe.AskAsync(connection, context.Options.ProbeTimeout, context.Time, cancellationToken);
        if (outcome.Verdict != ProbeVerdict.Silent || RequestCheck.Problem(first) is not null || sessions.Lease(SessionKey.Of(principal, first)) is not { } session)
        {
            return outcome;
        }

        try
        {
            await Task.WhenAny(probe.Answer, connection.Ended, session.Introduction).WaitAsync(cancellationToken);
            if (session.Introduction.IsCompleted && (await session.Introduction).IsError)
            {
                await Task.WhenAny(probe.Answer, connection.Ended, Task.Delay(s_patience, context.Time, cancellationToken));
            }

            return probe.Answer.IsCompletedSuccessfully ? new(ProbeOutcome.Of(await probe.Answer), await probe.Answer) : outcome;
        }
        finally
        {
            session.Release();
            if (probe.Answer.IsCompletedSuccessfully && ProbeOutcome.Of(await probe.Answer) == ProbeVerdict.Modern)
            {
                session.TryClose();
            }
        }
    }
}
