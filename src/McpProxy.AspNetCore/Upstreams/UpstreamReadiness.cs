using McpProxy.JsonRpc;
using McpProxy.Relay;
using McpProxy.Transports;

namespace McpProxy.AspNetCore.Upstreams;

/// <summary>
/// Whether the server answers: asked on a connection of its own, which for a command means that one is started. The answer is kept
/// until it is old or there is reason to doubt it, and many who ask at once cost one question.
/// </summary>
internal sealed class UpstreamReadiness(IUpstream upstream, TimeProvider time) : IAsyncDisposable
{
    private static readonly TimeSpan s_goodFor = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_badFor = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(10);

    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _closing = new();
    private Task<string?>? _asking;
    private string? _problem;
    private long _asked;
    private bool _isKnown;

    /// <summary>Why the server does not answer; null when it does.</summary>
    public async ValueTask<string?> ProblemAsync(CancellationToken cancellationToken)
    {
        Task<string?> asking;
        lock (_gate)
        {
            // A command that has answered keeps doing so until one is seen to die; a server elsewhere can go away unseen.
            if (_isKnown && ((_problem is null && upstream.StartsServer) || time.GetElapsedTime(_asked) < (_problem is null ? s_goodFor : s_badFor)))
            {
                return _problem;
            }

            asking = _asking ??= AskAsync();
        }

        return await asking.WaitAsync(cancellationToken);
    }

    /// <summary>A server has died: what is known may be wrong.</summary>
    public void Doubt()
    {
        lock (_gate)
        {
            _isKnown = false;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        if (_asking is { } asking)
        {
            await asking;
        }
    }

    /// <summary>An error of the server's own is an answer; those of the proxy stand for a server that could not be asked.</summary>
    private static string? Unreachable(in JsonRpcMessage answer) => answer.ErrorCode() is JsonRpcErrorCode.UpstreamUnavailable or JsonRpcErrorCode.SignInNeeded
        ? JsonMembers.AsString(JsonMembers.Find(answer.Utf8, "error"u8, "message"u8)) ?? "the server cannot be reached"
        : null;

    private async Task<string?> AskAsync()
    {
        await Task.Yield();
        string? problem;
        try
        {
            var answer = await UpstreamQuestion.AskAsync(upstream, OwnIntroduction.Initialize(ProtocolVersions.NewestLegacy), s_timeout, time, _closing.Token);
            problem = answer.Message is { } message ? Unreachable(message) : answer.Problem;
        }
        catch (OperationCanceledException)
        {
            problem = "shutting down";
        }

        lock (_gate)
        {
            (_problem, _asked, _isKnown, _asking) = (problem, time.GetTimestamp(), true, null);
        }

        return problem;
    }
}
