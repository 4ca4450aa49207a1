using McpProxy.JsonRpc;
using McpProxy.Telemetry;

namespace McpProxy.Eras.ModernClient;

/// <content>Requests of modern clients at the server: passed on, answered, taken up again, cancelled.</content>
internal sealed partial class LegacySession
{
    /// <summary>The answer to a client's <c>server/discover</c>.</summary>
    public async Task<JsonRpcMessage> DiscoveredAsync(JsonRpcId id) => ModernResult.Discovered(await _introduction.Task, id);

    /// <summary>Passes a client's request on; its answer comes later.</summary>
    public async Task ForwardAsync(ClientRequest request)
    {
        await SetLogLevelAsync(request);
        CallToServer call;
        string? end;
        lock (_gate)
        {
            call = new(JsonRpcId.FromNumber(++_lastId), _lastId, request);
            end = _end.Task.IsCompletedSuccessfully ? "the server is gone" : null;
            if (end is null)
            {
                _calls.Add(call.UpstreamId, call);
            }
        }

        if (end is not null)
        {
            await request.AnswerAsync(JsonRpcWriter.Error(request.Id, JsonRpcErrorCode.UpstreamUnavailable, end));
            return;
        }

        // What fails to be sent is answered by the end that makes it fail.
        await _server.SendAsync(LegacyRequest.From(request.Message, call.UpstreamId), default, _closing.Token);
        await request.GiveToAsync(() => CancelAsync(call, request));
    }

    /// <summary>Takes up a call whose client has looked for answers.</summary>
    /// <param name="call">The call.</param>
    /// <param name="round">The round of questions that the answers are for.</param>
    /// <param name="request">The client's request that brings the answers.</param>
    /// <returns>False when the answers to these questions were given already, or are not wanted any more.</returns>
    public async Task<bool> ResumeAsync(CallToServer call, int round, ClientRequest request)
    {
        await SetLogLevelAsync(request);
        List<(ServerQuestion Question, ReadOnlyMemory<byte> Answer)> answers = [];
        lock (_gate)
        {
            if (call.IsOver || call.Waiting is not null || call.Round != round)
            {
                return false;
            }

            call.Expiry?.Dispose();
            call.Waiting = request;
            call.Round++;
            var given = new ObjectEdit(JsonMembers.Find(request.Message.Params, "inputResponses"u8));
            answers.AddRange(call.Questions.Select(question => (question, given.Find(question.Key))).Where(pair => !pair.Item2.IsEmpty));
            call.Questions.RemoveAll(question => answers.Exists(pair => pair.Question == question));
            _waiting.Remove(call, call.IsAbandoned ? ParkedOutcome.ServerGone : answers.Exists(pair => InputAnswer.IsRefusal(pair.Answer)) ? ParkedOutcome.Refused : ParkedOutcome.Answered);
        }

        foreach (var (question, answer) in answers.Where(pair => !pair.Question.Id.IsNone))
        {
            await _server.SendAsync(MessageEdit.Result(question.Id, answer.Span), default, _closing.Token);
        }

        await request.GiveToAsync(() => CancelAsync(call, request));
        if (answers.Exists(pair => pair.Question.Id.IsNone) && await CallAgainAsync(call, request, answers))
        {
            return true;
        }

        JsonRpcMessage? outcome;
        bool isAskedAgain;
        List<ServerQuestion> left = [];
        lock (_gate)
        {
            outcome = call.Outcome;
            if (outcome is not null)
            {
                call.IsOver = true;
                left = TakeQuestions(call);
            }

            isAskedAgain = call.Waiting == request && call.Questions.Count > 0;
            NoteIdle();
        }

        if (outcome is { } answered)
        {
            PassOn(call, left);
            await request.AnswerAsync(ModernResult.From(answered, request.Id, call.Method, _serverInfo));
        }
        else if (isAskedAgain)
        {
            AskClient(call);
        }

        return true;
    }

    /// <summary>The server has answered something.</summary>
    private void Answered(JsonRpcMessage response)
    {
        CallToServer? call;
        ClientRequest? request;
        List<ServerQuestion> left = [];
        var asksForUrl = false;
        lock (_gate)
        {
            if (_asked.TryGetValue(response.Id, out var asked))
            {
                asked.TrySetResult(response);
                return;
            }

            if (!_calls.Remove(response.Id, out call))
            {
                return;
            }

            request = call.Waiting;
            if (request is null)
            {
                call.Outcome = response;
            }
            else
            {
                left = TakeQuestions(call);
                asksForUrl = response.ErrorCode() == UrlElicitationRequired && call.MayAsk && TakeUrls(call, response);
                call.IsOver = !asksForUrl;
            }

            NoteIdle();
        }

        PassOn(call, left);

        if (asksForUrl)
        {
            AskClient(call);
        }
        else if (request is not null)
        {
            _ = request.AnswerAsync(ModernResult.From(response, request.Id, call.Method, _serverInfo));
        }
    }

    /// <summary>Makes questions of the pages that the user has to go to. Under the lock.</summary>
    private bool TakeUrls(CallToServer call, in JsonRpcMessage response)
    {
        var elicitations = JsonMembers.Find(JsonMembers.Find(response.Utf8, "error"u8, "data"u8), "elicitations"u8);
        if (elicitations.Span is not [(byte)'[', ..] || !JsonRpcMessage.TrySplitBatch(elicitations, out var items, out _)
            || JsonMembers.Find(JsonMembers.Find(_clientCapabilities, "elicitation"u8), "url"u8).IsEmpty)
        {
            return false;
        }

        if (!_waiting.HasRoom)
        {
            WaitingCalls.Refused();
            return false;
        }

        call.Questions.AddRange(items.Select(item => ServerQuestion.OfUrl(item, $"q{++call.QuestionCount}")));
        return true;
    }

    /// <summary>The user has been where the server wanted, or not.</summary>
    /// <returns>False when there are pages left to go to.</returns>
    private async Task<bool> CallAgainAsync(CallToServer call, ClientRequest request, List<(ServerQuestion Question, ReadOnlyMemory<byte> Answer)> answers)
    {
        var isRefused = answers.Exists(pair => pair.Question.Id.IsNone && InputAnswer.IsRefusal(pair.Answer));
        lock (_gate)
        {
            if (!isRefused && call.Questions.Count > 0)
            {
                return false;
            }

            call.IsOver = true;
        }

        if (isRefused)
        {
            await request.AnswerAsync(JsonRpcWriter.Error(request.Id, JsonRpcErrorCode.InvalidParams, "the server needs the user to go to a page first, which was declined"));
        }
        else
        {
            await ForwardAsync(request);
        }

        return true;
    }

    private async Task CancelAsync(CallToServer call, ClientRequest request)
    {
        List<ServerQuestion> open;
        bool isWithServer;
        lock (_gate)
        {
            if (call.IsOver || call.Waiting != request)
            {
                return;
            }

            (open, isWithServer) = Drop(call, ParkedOutcome.Cancelled);
        }

        await TellServerAsync(call, open, isWithServer, "the client has cancelled the request");
    }

    /// <summary>Gives a call up. Under the lock.</summary>
    private (List<ServerQuestion> Open, bool IsWithServer) Drop(CallToServer call, ParkedOutcome outcome)
    {
        call.IsOver = true;
        call.Expiry?.Dispose();
        _waiting.Remove(call, outcome);
        var open = TakeQuestions(call);
        var isWithServer = _calls.Remove(call.UpstreamId);
        NoteIdle();
        return (open, isWithServer);
    }

    private async Task TellServerAsync(CallToServer call, List<ServerQuestion> open, bool isWithServer, string reason)
    {
        try
        {
            foreach (var question in open)
            {
                await _server.SendAsync(JsonRpcWriter.Error(question.Id, JsonRpcErrorCode.UpstreamUnavailable, reason), default, _closing.Token);
            }

            if (isWithServer)
            {
                await _server.SendAsync(JsonRpcWriter.Cancelled(call.UpstreamId, reason), default, _closing.Token);
            }
        }
        catch (OperationCanceledException)
        {
            // The session is closing, which the server notices by itself.
        }
    }
}
