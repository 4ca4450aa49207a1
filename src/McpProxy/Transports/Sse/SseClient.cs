using System.Net;
using McpProxy.JsonRpc;
using McpProxy.Telemetry;
using McpProxy.Transports.Http;
using Microsoft.Extensions.Logging;

namespace McpProxy.Transports.Sse;

/// <summary>
/// The client half of HTTP+SSE (MCP 2024-11-05): one event stream brings everything; messages are posted to the endpoint
/// that its first event names. When the stream breaks, a new one is opened and the session on it restored.
/// </summary>
internal sealed partial class SseClient : IHttpClientHalf
{
    private static readonly TimeSpan s_firstRetry = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan s_maxRetry = TimeSpan.FromSeconds(30);

    private readonly UpstreamHttpClient _http;
    private readonly IMessageReceiver _receiver;
    private readonly Inbound _inbound;
    private readonly SessionReplay _replay;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _gate = new();
    private readonly Dictionary<JsonRpcId, TaskCompletionSource<JsonRpcMessage>> _asked = [];
    private TaskCompletionSource<Uri> _endpoint = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _reading = Task.CompletedTask;

    public SseClient(UpstreamHttpClient http, IMessageReceiver receiver, SessionReplay replay, ILogger logger)
    {
        _http = http;
        _receiver = receiver;
        _inbound = new(this);
        _replay = replay;
        _logger = logger;
    }

    /// <summary>Opens the stream and waits for its endpoint.</summary>
    /// <param name="occasion">Why it is opened.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>The server's refusal, if it refused.</returns>
    /// <exception cref="UpstreamHttpException">The server could not be reached, or what it sent is no such stream.</exception>
    public async Task<HttpRefusal?> ConnectAsync(RequestOccasion occasion, CancellationToken cancellationToken)
    {
        var (stream, refusal) = await OpenAsync(occasion, cancellationToken);
        if (stream is null)
        {
            return refusal;
        }

        SetEndpoint(stream.Endpoint);
        _reading = ReadAndReconnectAsync(stream);
        return null;
    }

    public async ValueTask<HttpRefusal?> PostAsync(JsonRpcMessage message, CancellationToken cancellationToken)
    {
        Uri endpoint;
        try
        {
            endpoint = await Endpoint.WaitAsync(_http.Options.ConnectTimeout, _http.Time, cancellationToken);
        }
        catch (TimeoutException)
        {
            throw new UpstreamHttpException($"the stream of {UpstreamHttpClient.Describe(_http.Options.Url)} is broken and could not be opened again yet", requestWasSent: false);
        }

        return await PostToAsync(endpoint, message, RequestOccasions.Of(message), cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        await _reading;
        _closing.Dispose();
    }

    private Task<Uri> Endpoint
    {
        get
        {
            lock (_gate)
            {
                return _endpoint.Task;
            }
        }
    }

    private void SetEndpoint(Uri endpoint)
    {
        lock (_gate)
        {
            _endpoint.TrySetResult(endpoint);
        }
    }

    private void ClearEndpoint()
    {
        lock (_gate)
        {
            _endpoint = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

    private async Task<HttpRefusal?> PostToAsync(Uri endpoint, JsonRpcMessage message, RequestOccasion occasion, CancellationToken cancellationToken)
    {
        var timeout = message.Kind == JsonRpcMessageKind.Request ? _http.Options.HeadersTimeout : UpstreamHttpClient.ControlTimeout;
        using var response = await _http.SendAsync(
            HttpMethod.Post, endpoint, message.Utf8, timeout, occasion, SetPostHeaders, cancellationToken);
        if (response.IsSuccessStatusCode)
        {
            return null;
        }

        var (body, text) = await _http.ReadRefusalAsync(response, cancellationToken);
        return new(response.StatusCode, body, text);
    }

    private async Task<(OpenStream? Stream, HttpRefusal? Refusal)> OpenAsync(RequestOccasion occasion, CancellationToken cancellationToken)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _closing.Token);
        var url = _http.Options.Url;
        var response = await _http.SendAsync(
            HttpMethod.Get, url, null, UpstreamHttpClient.ControlTimeout, occasion, static headers => headers.TryAddWithoutValidation("Accept", "text/event-stream"), timeout.Token);

        // From here on: a sign-in before it takes the time that it takes.
        timeout.CancelAfter(UpstreamHttpClient.ControlTimeout);
        try
        {
            if (!response.IsSuccessStatusCode)
            {
                var (body, text) = await _http.ReadRefusalAsync(response, cancellationToken);
                return (null, new(response.StatusCode, body, text));
            }

            if (!ServerSentEvents.IsEventStream(response))
            {
                return (null, new(HttpStatusCode.NotAcceptable, default, $"{UpstreamHttpClient.Describe(url)} is no event stream"));
            }

            // Reading outlives this method, so it has a stop of its own; the timeout stops the wait for the first event.
            var stop = CancellationTokenSource.CreateLinkedTokenSource(_closing.Token);
            var events = new ServerSentEvents(_http, response).ReadAsync(stop.Token).GetAsyncEnumerator(stop.Token);
            while (await events.MoveNextAsync().AsTask().WaitAsync(timeout.Token))
            {
                var (type, data) = events.Current;
                if (type == "endpoint")
                {
                    return (new(response, events, EndpointOf(url, System.Text.Encoding.UTF8.GetString(data)), stop), null);
                }
            }

            throw new UpstreamHttpException($"{UpstreamHttpClient.Describe(url)} ended its stream without naming an endpoint", requestWasSent: true);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested && !_closing.IsCancellationRequested)
        {
            response.Dispose();
            throw new UpstreamHttpException($"{UpstreamHttpClient.Describe(url)} named no endpoint within {UpstreamHttpClient.ControlTimeout.TotalSeconds} s", requestWasSent: true);
        }
        catch
        {
            response.Dispose();
            throw;
        }
    }

    private static Uri EndpointOf(Uri url, string text)
    {
        if (!Uri.TryCreate(url, text.Trim(), out var endpoint) || !UpstreamHttpClient.IsSameOrigin(url, endpoint))
        {
            // The user's headers must not go to another origin.
            throw new UpstreamHttpException($"{UpstreamHttpClient.Describe(url)} names an endpoint on another origin", requestWasSent: true);
        }

        return endpoint;
    }

    private async Task ReadAndReconnectAsync(OpenStream? stream)
    {
        var wait = s_firstRetry;
        try
        {
            while (true)
            {
                if (stream is not null)
                {
                    await ReadAsync(stream);

                    // A stream whose session could not be restored is no better than none: the pauses go on growing.
                    wait = Endpoint.IsCompleted ? s_firstRetry : wait;
                    ClearEndpoint();
                    await _receiver.AbandonedAsync("the server ended the stream before the answer", _closing.Token);
                }

                await Task.Delay(wait, _http.Time, _closing.Token);
                wait = wait * 2 < s_maxRetry ? wait * 2 : s_maxRetry;
                stream = await TryReopenAsync();
            }
        }
        catch (OperationCanceledException)
        {
            // Closed.
        }
    }

    private async Task ReadAsync(OpenStream stream)
    {
        using (stream.Response)
        using (stream.Stop)
        {
            await using var events = stream.Events;
            try
            {
                while (await events.MoveNextAsync())
                {
                    var (type, data) = events.Current;
                    if (type == "message" && data.Length > 0)
                    {
                        await MessageDispatcher.DispatchAsync(data, null, _inbound, _ => LogNoMessage(), _closing.Token);
                    }
                }
            }
            catch (UpstreamHttpException e)
            {
                LogStreamBroke(e.Message);
            }
            catch (OperationCanceledException) when (!_closing.IsCancellationRequested)
            {
                LogStreamBroke("the session on it could not be restored");
            }
        }
    }

    private async Task<OpenStream?> TryReopenAsync()
    {
        try
        {
            var (stream, refusal) = await OpenAsync(RequestOccasion.Background, _closing.Token);
            if (stream is null)
            {
                LogReopenFailed(refusal!.Text);
                return null;
            }

            LogReopened();
            _ = RestoreAsync(stream);
            return stream;
        }
        catch (UpstreamHttpException e)
        {
            LogReopenFailed(e.Message);
            return null;
        }
    }

    /// <summary>Initialises the session on a new stream as the client did on the first; only then do the client's messages go on.</summary>
    private async Task RestoreAsync(OpenStream stream)
    {
        var endpoint = stream.Endpoint;
        try
        {
            if (_replay.Initialize is { } initialize)
            {
                if ((await AskAsync(endpoint, initialize)).IsError)
                {
                    throw new UpstreamHttpException("the server refused to initialise again", requestWasSent: true);
                }

                foreach (var message in _replay.Rest())
                {
                    if (message.Kind == JsonRpcMessageKind.Request)
                    {
                        _ = await AskAsync(endpoint, message);
                    }
                    else
                    {
                        await PostToAsync(endpoint, message, RequestOccasion.Background, _closing.Token);
                    }
                }
            }

            SetEndpoint(endpoint);
        }
        catch (Exception e) when (e is UpstreamHttpException or OperationCanceledException or TimeoutException)
        {
            // Without its session the stream is of no use: another one is opened.
            LogReopenFailed(e.Message);
            try
            {
                await stream.Stop.CancelAsync();
            }
            catch (ObjectDisposedException)
            {
                // It has ended meanwhile.
            }
        }
    }

    /// <summary>Sends a request whose answer the client must not see.</summary>
    private async Task<JsonRpcMessage> AskAsync(Uri endpoint, JsonRpcMessage request)
    {
        var answer = new TaskCompletionSource<JsonRpcMessage>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            _asked[request.Id] = answer;
        }

        try
        {
            if (await PostToAsync(endpoint, request, RequestOccasion.Background, _closing.Token) is { } refusal)
            {
                throw new UpstreamHttpException(refusal.Text, requestWasSent: true);
            }

            return await answer.Task.WaitAsync(UpstreamHttpClient.ControlTimeout, _http.Time, _closing.Token);
        }
        finally
        {
            lock (_gate)
            {
                _asked.Remove(request.Id);
            }
        }
    }

    /// <summary>Takes an answer that the proxy itself asked for.</summary>
    private bool TryTakeAsked(in JsonRpcMessage message)
    {
        TaskCompletionSource<JsonRpcMessage>? asked = null;
        if (message.Kind == JsonRpcMessageKind.Response)
        {
            lock (_gate)
            {
                _asked.Remove(message.Id, out asked);
            }
        }

        return asked?.TrySetResult(message.Detach()) == true;
    }

    private static void SetPostHeaders(System.Net.Http.Headers.HttpRequestHeaders headers)
    {
        headers.TryAddWithoutValidation("Accept", "application/json, text/event-stream");
        TraceHeaders.Set(headers);
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "The server's stream broke: {Reason}")]
    private partial void LogStreamBroke(string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The server's stream could not be opened again: {Reason}")]
    private partial void LogReopenFailed(string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "The server's stream was opened again")]
    private partial void LogReopened();

    [LoggerMessage(Level = LogLevel.Warning, Message = "The server sent something that is no message; skipped")]
    private partial void LogNoMessage();

    private sealed record OpenStream(HttpResponseMessage Response, IAsyncEnumerator<(string Type, byte[] Data)> Events, Uri Endpoint, CancellationTokenSource Stop);

    /// <summary>Keeps from the client the answers that the proxy asked for.</summary>
    private sealed class Inbound(SseClient sse) : IMessageReceiver
    {
        public ValueTask ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken) =>
            sse.TryTakeAsked(message) ? ValueTask.CompletedTask : sse._receiver.ReceiveAsync(message, related, cancellationToken);

        public ValueTask FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken) => sse._receiver.FaultAsync(fault, cancellationToken);

        public ValueTask AbandonedAsync(string reason, CancellationToken cancellationToken) => sse._receiver.AbandonedAsync(reason, cancellationToken);
    }
}
