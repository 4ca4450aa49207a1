using System.Collections;
using System.IO.Pipelines;
using System.Net;
using System.Runtime.Versioning;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;

namespace McpProxy.AspNetCore.Connections.Usual;

/// <summary>
/// A request and its response, as the rest of the program sees them. One for each connection, which is used again for each of its requests: nobody may keep
/// it for longer than its request, as with any server.
/// </summary>
[SupportedOSPlatform("linux")]
internal sealed partial class UsualExchange : IFeatureCollection, IHttpRequestFeature, IRequestBodyPipeFeature, IHttpResponseFeature, IHttpResponseBodyFeature, IHttpRequestLifetimeFeature, IHttpConnectionFeature
{
    private readonly LoopConnection _connection;
    private readonly UsualHead _head;
    private readonly ResponseWriter _writer;
    private readonly UsualBody _body;
    private readonly ILogger _logger;
    private readonly DefaultHttpContext _context;
    private FeatureCollection? _added;
    private Stream? _requestStream;
    private Stream? _responseStream;

    /// <param name="connection">The connection.</param>
    /// <param name="head">What the head of each request is read with.</param>
    /// <param name="body">What the body of each request is read from.</param>
    /// <param name="date">The date of now.</param>
    /// <param name="logger">Where it logs.</param>
    public UsualExchange(LoopConnection connection, UsualHead head, UsualBody body, Func<ReadOnlyMemory<byte>> date, ILogger logger)
    {
        _connection = connection;
        _head = head;
        _writer = new(connection.Stream, date);
        _body = body;
        _logger = logger;
        Headers = head.Headers;
        RequestAborted = connection.ConnectionClosed;
        Method = HttpMethods.Post;
        Protocol = HttpProtocol.Http11;
        Scheme = "http";
        ConnectionId = connection.ConnectionId;
        (RemoteIpAddress, RemotePort) = Parts(connection.RemoteEndPoint);
        (LocalIpAddress, LocalPort) = Parts(connection.LocalEndPoint);
        _context = new(this);
    }

    public bool IsReadOnly => false;

    public int Revision { get; private set; }

    public string Protocol { get; set; }

    public string Scheme { get; set; }

    public string Method { get; set; }

    public string PathBase { get; set; } = "";

    public string Path { get; set; } = "";

    public string QueryString { get; set; } = "";

    public string RawTarget { get; set; } = "";

    public IHeaderDictionary Headers { get; set; }

    public PipeReader Reader => _body;

    public int StatusCode
    {
        get => _writer.Status;
        set => _writer.Status = HasStarted ? throw new InvalidOperationException("the response is on its way: its status cannot be changed") : value;
    }

    public string? ReasonPhrase { get; set; }

    public bool HasStarted => _writer.HasStarted;

    public PipeWriter Writer => _writer;

    public CancellationToken RequestAborted { get; set; }

    public string ConnectionId { get; set; }

    public IPAddress? RemoteIpAddress { get; set; }

    public IPAddress? LocalIpAddress { get; set; }

    public int RemotePort { get; set; }

    public int LocalPort { get; set; }

    Stream IHttpRequestFeature.Body
    {
        get => _requestStream ??= _body.AsStream(leaveOpen: true);
        set => _requestStream = value;
    }

    IHeaderDictionary IHttpResponseFeature.Headers
    {
        get => _writer.Headers;
        set => throw NotPossible();
    }

    Stream IHttpResponseFeature.Body
    {
        get => Stream;
        set => throw NotPossible();
    }

    public Stream Stream => _responseStream ??= _writer.AsStream(leaveOpen: true);

    public object? this[Type key]
    {
        get => _added?[key] ?? (key.IsInstanceOfType(this) ? this : null);
        set
        {
            (_added ??= new())[key] = value;
            Revision++;
        }
    }

    public TFeature? Get<TFeature>() =>
        _added is not null && _added.Get<TFeature>() is { } added ? added : this is TFeature own ? own : default;

    public void Set<TFeature>(TFeature? instance)
    {
        (_added ??= new()).Set(instance);
        Revision++;
    }

    public IEnumerator<KeyValuePair<Type, object>> GetEnumerator() => (_added ?? Enumerable.Empty<KeyValuePair<Type, object>>()).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public void DisableBuffering()
    {
        // Nothing is held back but what was not flushed.
    }

    public Task StartAsync(CancellationToken cancellationToken = default) => HasStarted ? Task.CompletedTask : _writer.FlushAsync(cancellationToken).AsTask();

    public Task SendFileAsync(string path, long offset, long? count, CancellationToken cancellationToken = default) =>
        SendFileFallback.SendFileAsync(Stream, path, offset, count, cancellationToken);

    public Task CompleteAsync() => _writer.EndAsync().AsTask();

    public void Abort() => _connection.Abort(new("The request was aborted by the application"));

    public void OnStarting(Func<object, Task> callback, object state) => throw NotPossible();

    public void OnCompleted(Func<object, Task> callback, object state) => throw NotPossible();

    /// <summary>Has the connection closed after the response, which says so if it can still say anything.</summary>
    public void CloseAfterwards() => _writer.ClosesConnection = true;

    /// <summary>Has the request answered whose head was read last.</summary>
    public Task AnswerAsync()
    {
        Method = _head.Method;
        Path = _head.Path;
        QueryString = _head.Query;
        RawTarget = QueryString.Length == 0 ? Path : Path + QueryString;
        try
        {
            return _head.Target(_context);
        }
        catch (Exception e)
        {
            return Task.FromException(e);
        }
    }

    /// <summary>Ends the exchange.</summary>
    /// <param name="answering">What <see cref="AnswerAsync"/> gave, completed.</param>
    /// <returns>Whether the connection can be used for another request.</returns>
    public ValueTask<bool> EndAsync(Task answering)
    {
        _body.End();
        if (!answering.IsCompletedSuccessfully)
        {
            return FailAsync(answering);
        }

        try
        {
            var ending = _writer.EndAsync();
            if (!ending.IsCompletedSuccessfully)
            {
                return EndSlowlyAsync(ending);
            }
        }
        catch (InvalidOperationException e)
        {
            return FailAsync(Task.FromException(e));
        }

        return new(CanGoOn());
    }

    private async ValueTask<bool> EndSlowlyAsync(ValueTask ending)
    {
        await ending;
        return CanGoOn();
    }

    private bool CanGoOn()
    {
        var isOver = _writer.ClosesConnection || _writer.IsGone;
        _writer.Reset();
        if (_added is not null)
        {
            _added = null;
            Revision++;
        }

        return !isOver;
    }

    private async ValueTask<bool> FailAsync(Task answering)
    {
        try
        {
            await answering;
        }
        catch (Exception e)
        {
            LogDefect(e, Path);
        }

        if (HasStarted)
        {
            Abort();
            return false;
        }

        _writer.Reset();
        _writer.ClosesConnection = true;
        StatusCode = StatusCodes.Status500InternalServerError;
        await _writer.EndAsync();
        return false;
    }

    private static NotSupportedException NotPossible() => new("the response to a usual request has no such thing");

    private static (IPAddress? Address, int Port) Parts(EndPoint? endPoint) => endPoint is IPEndPoint ip ? (ip.Address, ip.Port) : default;

    [LoggerMessage(Level = LogLevel.Error, Message = "Defect while answering a request to {Path}")]
    private partial void LogDefect(Exception exception, string path);
}
