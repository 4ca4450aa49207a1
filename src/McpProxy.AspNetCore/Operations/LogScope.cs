using System.Collections;
using System.Text;
using McpProxy.JsonRpc;
using McpProxy.Telemetry;

namespace McpProxy.AspNetCore.Operations;

/// <summary>
/// What a log line belongs to. A session goes by a running number: its id is as good as a password. Nothing is put into words
/// before a line is written, unless it may be gone by then.
/// </summary>
internal sealed class LogScope : IReadOnlyList<KeyValuePair<string, object?>>
{
    private readonly int? _session;
    private readonly string? _method;
    private readonly JsonRpcId _id;

    /// <param name="session">The session's number; null where there is none.</param>
    /// <param name="message">What the client sent.</param>
    public LogScope(int? session, in JsonRpcMessage? message = null)
    {
        _session = session;
        if (message is { Kind: not JsonRpcMessageKind.Response } sent)
        {
            _method = McpMethodName.Of(sent.Method) is not McpMethodName.Other and var known ? known : Encoding.UTF8.GetString(sent.Method);
            _id = sent.Id.Detach();
        }
    }

    public int Count => Fields().Count();

    public KeyValuePair<string, object?> this[int index] => Fields().ElementAt(index);

    public IEnumerator<KeyValuePair<string, object?>> GetEnumerator() => Fields().GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public override string ToString() => string.Join(' ', Fields().Select(part => $"{part.Key} {part.Value}"));

    private IEnumerable<KeyValuePair<string, object?>> Fields()
    {
        if (_session is { } number)
        {
            yield return new("session", number.ToString(System.Globalization.CultureInfo.InvariantCulture));
        }

        if (_method is not null)
        {
            yield return new("method", _method);
            if (!_id.IsNone)
            {
                yield return new("request_id", _id.ToString());
            }
        }
    }
}
