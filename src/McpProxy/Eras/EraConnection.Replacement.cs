using System.Text;
using McpProxy.Eras.LegacyClient;
using McpProxy.Eras.ModernClient;
using McpProxy.JsonRpc;
using McpProxy.Transports;

namespace McpProxy.Eras;

/// <content>A server that has turned out to be another one than before, and what it has to be told.</content>
internal sealed partial class EraConnection
{
    /// <summary>Begins to keep what a legacy client says once, should the server have to be told again.</summary>
    private void Remember(in JsonRpcMessage initialize)
    {
        if (_context.Doubt.IsPossible)
        {
            _replay = new();
            _replay.Observe(initialize);
        }
    }

    /// <summary>The server has turned out to be another one: if the stage is not made for it, what comes next gets one that is.</summary>
    private void Reconsider()
    {
        lock (_gate)
        {
            var facts = _context.Facts;
            _generation = facts.Generation;
            if (_state != State.Decided || _stage is not { } stage
                || (_replay is null ? facts.IsLegacyOnly == stage is ModernClientStage : facts.IsModernOnly == stage is LegacyClientStage))
            {
                return;
            }

            // What is in flight there may still be answered.
            _former.Add(stage);
            (stage as LegacyClientStage)?.StopListening();
            _stage = null;
            _decided = new(TaskCreationOptions.RunContinuationsAsynchronously);
            if (_stateless is null)
            {
                _own = new(_context.Upstream.Connect());
                _own.GiveTo(this);
            }

            if (_replay?.Initialize is not { } initialize)
            {
                _state = State.Undecided;
                return;
            }

            Decide(initialize, IntroduceAgainAsync);
        }
    }

    /// <summary>Tells the server that has taken the place of another one what the legacy client had told that one.</summary>
    private async Task IntroduceAgainAsync()
    {
        if (_context.Facts.IsModernOnly)
        {
            var outcome = await ProbeAsync(EraProbe.Question);
            if (outcome.Verdict != ProbeVerdict.Modern)
            {
                Use(_own!);
                return;
            }

            Announce(toModernClients: false);
            var stage = new LegacyClientStage(_context, Taken(), _first, outcome.Answer);
            Begin(stage);

            // Before anything that the client says next, which may depend on it.
            await TellAgainAsync(stage);
            Decide(stage);
            return;
        }

        var own = _own!;
        await own.SendAsync(_first, default, _closing.Token);
        await Task.WhenAny(_firstAnswer.Task, Task.Delay(s_patience, _context.Time, _closing.Token));
        await TellAgainAsync(own);
        Use(own);
    }

    private async Task TellAgainAsync(IConnection server)
    {
        foreach (var message in _replay!.Rest())
        {
            var again = message;
            if (message.Kind == JsonRpcMessageKind.Request)
            {
                lock (_gate)
                {
                    var id = JsonRpcId.FromJson(Encoding.UTF8.GetBytes($"\"mcp-proxy/again/{_generation}/{_replayed.Count}\""));
                    again = JsonSplice.WithId(message, id);
                    _replayed.Add(id);
                }
            }

            await server.SendAsync(again, default, _closing.Token);
        }
    }

    /// <summary>Whether this answers what the client has not asked this server.</summary>
    private bool IsReplayed(in JsonRpcMessage message)
    {
        if (message.Kind != JsonRpcMessageKind.Response || _replayed.Count == 0)
        {
            return false;
        }

        lock (_gate)
        {
            return _replayed.Remove(message.Id);
        }
    }
}
