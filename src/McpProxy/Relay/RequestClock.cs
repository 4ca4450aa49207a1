using McpProxy.JsonRpc;

namespace McpProxy.Relay;

/// <summary>Looks for requests that take too long.</summary>
internal sealed class RequestClock : IDisposable
{
    private readonly TimeSpan _timeout;
    private readonly TimeSpan _maximum;
    private readonly PendingRequests _requests;
    private readonly PendingRequests _questions;
    private readonly TimeProvider _time;
    private readonly Func<JsonRpcId, bool, Task> _timeOut;
    private readonly ITimer _timer;

    /// <param name="timeout">How long the server may be silent about a request.</param>
    /// <param name="maximum">How long a request may take in all.</param>
    /// <param name="requests">The client's requests.</param>
    /// <param name="questions">The server's requests: while one that was sent for a request waits for the client, the server is not to blame.</param>
    /// <param name="time">The clock.</param>
    /// <param name="timeOut">Answers a request, given its id and whether it is <c>initialize</c>, which must not be cancelled.</param>
    public RequestClock(TimeSpan timeout, TimeSpan maximum, PendingRequests requests, PendingRequests questions, TimeProvider time, Func<JsonRpcId, bool, Task> timeOut)
    {
        _timeout = timeout;
        _maximum = maximum;
        _requests = requests;
        _questions = questions;
        _time = time;
        _timeOut = timeOut;
        var period = TimeSpan.FromTicks(Math.Clamp(timeout.Ticks / 8, TimeSpan.TicksPerMillisecond * 20, TimeSpan.TicksPerSecond));
        _timer = time.CreateTimer(_ => Look(), null, period, period);
    }

    public void Dispose() => _timer.Dispose();

    private void Look()
    {
        foreach (var (id, isInitialize, isTooLong) in _requests.Late(came => _time.GetElapsedTime(came) >= _maximum, sign => _time.GetElapsedTime(sign) >= _timeout))
        {
            if (isTooLong || !_questions.HasCause(id))
            {
                // Not awaited: a client that does not read must not hold up the clock.
                _ = _timeOut(id, isInitialize);
            }
        }
    }
}
