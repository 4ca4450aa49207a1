using System.Text;
using McpProxy.JsonRpc;
using McpProxy.Telemetry;

namespace McpProxy.Eras.ModernClient;

/// <content>What the server asks, and the calls that wait for its answer.</content>
internal sealed partial class LegacySession
{
    /// <summary>The server has a question.</summary>
    private async Task AskedAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        if (message.Is("ping"u8))
        {
            await _server.SendAsync(MessageEdit.Result(message.Id, "{}"u8), default, cancellationToken);
            return;
        }

        string? problem = null;
        var code = JsonRpcErrorCode.UpstreamUnavailable;
        CallToServer? gathering = null;
        lock (_gate)
        {
            var call = CallOf(related);
            if (ServerQuestion.Of(message, call is null ? "" : $"q{call.QuestionCount + 1}") is not { } question)
            {
                (problem, code) = ("the client takes no such requests", JsonRpcErrorCode.MethodNotFound);
            }
            else if (ClientCapability.MissingFor(Encoding.UTF8.GetString(message.Method), message.Params, _clientCapabilities) is { } capability)
            {
                // As a client of the server's own era would: the server may know what to do without.
                (problem, code) = ($"the client has not declared the capability {capability}", JsonRpcErrorCode.MethodNotFound);
            }
            else if (call is null)
            {
                problem = "the client cannot be asked: it has no request in flight that could be answered with the question";
            }
            else if (!_waiting.HasRoom)
            {
                WaitingCalls.Refused();
                problem = "the client cannot be asked: too many calls wait for input";
            }
            else
            {
                call.QuestionCount++;
                call.Questions.Add(question);
                if (call.Waiting is not null && !call.IsGathering)
                {
                    call.IsGathering = true;
                    gathering = call;
                }
            }
        }

        if (problem is not null)
        {
            await _server.SendAsync(JsonRpcWriter.Error(message.Id, code, problem), default, cancellationToken);
        }
        else if (gathering is not null)
        {
            _ = GatherAsync(gathering);
        }
    }

    /// <summary>
    /// The call that something belongs to: the one on whose stream it came; else, over a transport without such streams, the
    /// newest that could have caused it, and rather one whose client is not busy with another question.
    /// </summary>
    private CallToServer? CallOf(JsonRpcId related)
    {
        if (!related.IsNone && _calls.TryGetValue(related, out var call))
        {
            return call;
        }

        var candidates = _calls.Values.Where(candidate => candidate.MayAsk);
        return candidates.Where(candidate => candidate.Waiting is not null).MaxBy(candidate => candidate.Order) ?? candidates.MaxBy(candidate => candidate.Order);
    }

    private async Task GatherAsync(CallToServer call)
    {
        try
        {
            await Task.Delay(s_gathering, _context.Time, _closing.Token);
            AskClient(call);
        }
        catch (OperationCanceledException)
        {
            // Closing: the call was answered.
        }
    }

    /// <summary>Answers the client's request with the questions; the call waits for the client to come back.</summary>
    private void AskClient(CallToServer call)
    {
        ClientRequest? request;
        int round;
        var questions = new ObjectEdit(default);
        lock (_gate)
        {
            call.IsGathering = false;
            request = call.Waiting;
            if (call.IsOver || request is null || call.Questions.Count == 0)
            {
                return;
            }

            foreach (var question in call.Questions)
            {
                questions.Set(question.Key, question.Request);
            }

            call.Waiting = null;
            round = ++call.Round;
            _waiting.Add(this, call);
            call.Expiry = _context.Time.CreateTimer(_ => Expire(call, round), null, _context.Options.InputTimeout, Timeout.InfiniteTimeSpan);
        }

        var binding = RequestStateSeal.BindingOf(_key.Principal, call.Method, call.Request.Params);
        var expiry = _context.Time.GetUtcNow().Add(_context.Options.InputTimeout).ToUnixTimeSeconds();
        _ = request.AnswerAsync(ModernResult.InputRequired(request.Id, questions.ToUtf8(), _waiting.Seal.Seal(call.Key, round, expiry, binding), _serverInfo));
    }

    /// <summary>The client has not come back.</summary>
    private void Expire(CallToServer call, int round)
    {
        List<ServerQuestion> open;
        bool isWithServer;
        lock (_gate)
        {
            if (call.IsOver || call.Waiting is not null || call.Round != round)
            {
                return;
            }

            (open, isWithServer) = Drop(call, call.IsAbandoned ? ParkedOutcome.ServerGone : ParkedOutcome.Expired);
        }

        LogExpired(_context.Logger, call.Method);
        _ = TellServerAsync(call, open, isWithServer, "the client has not answered in time");
    }
}
