using System.Text;
using McpProxy.JsonRpc;

namespace McpProxy.Eras.ModernClient;

/// <content>What the server tells: progress, logs, changes; and who wants to hear it.</content>
internal sealed partial class LegacySession
{
    /// <summary>Tells a client of changes from now on.</summary>
    public async Task ListenAsync(ClientRequest request)
    {
        var listener = new ListenRequest(request, _capabilities);
        await _control.WaitAsync(_closing.Token);
        try
        {
            foreach (var uri in listener.Uris.ToList())
            {
                if (_watched.GetValueOrDefault(uri) == 0 && (await AskAsync("\"resources/subscribe\""u8.ToArray(), UriParams(uri))).IsError)
                {
                    listener.Uris.Remove(uri);
                }
                else
                {
                    _watched[uri] = _watched.GetValueOrDefault(uri) + 1;
                }
            }
        }
        finally
        {
            _control.Release();
        }

        lock (_gate)
        {
            _listeners.Add(listener);
        }

        listener.Acknowledge();
        listener.IsAcknowledged = true;
        await request.GiveToAsync(() => UnlistenAsync(listener));
        if (_end.Task.IsCompleted)
        {
            await listener.CloseAsync();
        }
    }

    /// <summary>Has the server send the log messages that a request asks for; what it sends besides goes to nobody.</summary>
    private async Task SetLogLevelAsync(ClientRequest request)
    {
        if (request.LogRank < 0 || _end.Task.IsCompleted || JsonMembers.Find(_capabilities, "logging"u8).IsEmpty)
        {
            return;
        }

        await _control.WaitAsync(_closing.Token);
        try
        {
            int rank;
            lock (_gate)
            {
                // The least severe that anybody asks for now.
                rank = _calls.Values.Select(call => call.Waiting?.LogRank ?? -1).Where(other => other >= 0).Append(request.LogRank).Min();
                if (rank == _logRank)
                {
                    return;
                }

                _logRank = rank;
            }

            await AskAsync("\"logging/setLevel\""u8.ToArray(), Encoding.UTF8.GetBytes($"{{\"level\":\"{LogSeverity.LevelOf(rank)}\"}}"));
        }
        finally
        {
            _control.Release();
        }
    }

    private void Notified(JsonRpcMessage message, JsonRpcId related)
    {
        var method = Encoding.UTF8.GetString(message.Method);
        switch (method)
        {
            case "notifications/progress":
                Progressed(message);
                break;
            case "notifications/message":
                Logged(message, related);
                break;
            case "notifications/cancelled":
                lock (_gate)
                {
                    foreach (var call in _calls.Values)
                    {
                        call.Questions.RemoveAll(question => !question.Id.IsNone && question.Id == message.CancelledRequest());
                    }
                }

                break;
            case "notifications/resources/updated":
                var uri = JsonMembers.AsString(JsonMembers.Find(message.Params, "uri"u8)) ?? "";
                TellListeners(message, listener => listener.WantsResource(uri));
                break;
            case "notifications/tools/list_changed" or "notifications/prompts/list_changed" or "notifications/resources/list_changed":
                TellListeners(message, listener => listener.Wants(method));
                break;
            default:
                if (Waiting(related) is { } request && !method.StartsWith("notifications/elicitation/", StringComparison.Ordinal))
                {
                    request.Notify(message.Detach());
                }
                else
                {
                    LogNotExpressible(_context.Logger, message);
                }

                break;
        }
    }

    private ClientRequest? Waiting(JsonRpcId call)
    {
        lock (_gate)
        {
            return _calls.GetValueOrDefault(call)?.Waiting;
        }
    }

    private void Progressed(JsonRpcMessage message)
    {
        if (Waiting(message.ProgressToken()) is { ProgressToken.IsNone: false } request)
        {
            var range = JsonSplice.RangeOf(message.Utf8, JsonMembers.Find(message.Params, "progressToken"u8));
            request.Notify(JsonSplice.Reparse(JsonSplice.Apply(message.Utf8, (range, request.ProgressToken.Utf8Text))));
        }
    }

    /// <summary>A log message goes to the request that caused it, where that has asked for such; never to one that has not.</summary>
    private void Logged(JsonRpcMessage message, JsonRpcId related)
    {
        var rank = LogSeverity.RankOf(JsonMembers.AsString(JsonMembers.Find(message.Params, "level"u8)));
        ClientRequest? request;
        lock (_gate)
        {
            var calls = _calls.TryGetValue(related, out var call) ? [call] : _calls.Values.OrderByDescending(other => other.Order).AsEnumerable();
            request = calls.Select(candidate => candidate.Waiting).FirstOrDefault(waiting => waiting is { LogRank: >= 0 } && waiting.LogRank <= rank);
        }

        if (request is not null)
        {
            request.Notify(message.Detach());
        }
    }

    private void TellListeners(JsonRpcMessage message, Func<ListenRequest, bool> wants)
    {
        List<ListenRequest> listeners;
        lock (_gate)
        {
            listeners = [.. _listeners.Where(wants)];
        }

        foreach (var listener in listeners)
        {
            listener.Notify(message);
        }
    }

    private async Task UnlistenAsync(ListenRequest listener)
    {
        lock (_gate)
        {
            if (!_listeners.Remove(listener))
            {
                return;
            }
        }

        try
        {
            await _control.WaitAsync(_closing.Token);
            try
            {
                foreach (var uri in listener.Uris)
                {
                    if (--_watched[uri] == 0)
                    {
                        _watched.Remove(uri);
                        await AskAsync("\"resources/unsubscribe\""u8.ToArray(), UriParams(uri));
                    }
                }
            }
            finally
            {
                _control.Release();
            }
        }
        catch (OperationCanceledException)
        {
            // The session is closing, and its subscriptions with it.
        }

        lock (_gate)
        {
            NoteIdle();
        }
    }
}
