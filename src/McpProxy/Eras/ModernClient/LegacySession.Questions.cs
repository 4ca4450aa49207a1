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
            if (ServerQuestion.Of(message) is not { } question)
            {
                (problem, code) = ("the client takes no such requests", JsonRpcErrorCode.MethodNotFound);
            }
            else if (ClientCapability.MissingFor(Encoding.UTF8.GetString(message.Method), message.Params, _clientCapabilities) is { } capability)
            {
                // As a client of the server's own era would: the server may know what to do without.
                (problem, code) = ($"the client has not declared the capability {capability}", JsonRpcErrorCode.MethodNotFound);
            }
            else
            {
                problem = Give(question, related, out gathering);
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

    /// <summary>Gives a question to a call, whose client is to be asked. Under the lock.</summary>
    /// <param name="question">The question.</param>
    /// <param name="related">The request on whose stream it came, if any.</param>
    /// <param name="gathering">The call, where <see cref="GatherAsync"/> is to be called for it.</param>
    /// <returns>Why nobody can be asked; null when somebody can.</returns>
    private string? Give(ServerQuestion question, JsonRpcId related, out CallToServer? gathering)
    {
        gathering = null;
        var known = related.IsNone ? null : _calls.GetValueOrDefault(related);
        if ((known ?? LikelyCall()) is not { } call)
        {
            return "the client cannot be asked: it has no request in flight that could be answered with the question";
        }

        if (!_waiting.HasRoom)
        {
            WaitingCalls.Refused();
            return "the client cannot be asked: too many calls wait for input";
        }

        call.Questions.Add(question with { Key = $"q{++call.QuestionCount}", IsGuessed = known is null });
        if (call.Waiting is not null && !call.IsGathering)
        {
            call.IsGathering = true;
            gathering = call;
        }

        return null;
    }

    /// <summary>Takes the questions that a call was given and nobody has answered. Under the lock.</summary>
    private static List<ServerQuestion> TakeQuestions(CallToServer call)
    {
        List<ServerQuestion> open = [.. call.Questions.Where(question => !question.Id.IsNone)];
        call.Questions.Clear();
        return open;
    }

    /// <summary>Gives the questions of a call that the server has answered to others: it still waits for them, so that they were another's.</summary>
    private void PassOn(CallToServer answered, List<ServerQuestion> questions)
    {
        foreach (var question in questions)
        {
            string? problem;
            CallToServer? gathering = null;
            lock (_gate)
            {
                problem = question.IsGuessed ? Give(question, default, out gathering) : "the call that the question was asked for has been answered";
            }

            if (problem is not null)
            {
                _ = TellServerAsync(answered, [question], isWithServer: false, problem);
            }
            else if (gathering is not null)
            {
                _ = GatherAsync(gathering);
            }
        }
    }

    /// <summary>
    /// The call that a question probably belongs to, over a transport that does not say: the newest that could have caused it, and rather one whose
    /// client is not busy with another question.
    /// </summary>
    private CallToServer? LikelyCall()
    {
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
