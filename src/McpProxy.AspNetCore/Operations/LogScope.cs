using System.Collections;
using System.Text;
using McpProxy.JsonRpc;

namespace McpProxy.AspNetCore.Operations;

/// <summary>
/// What a log line belongs to. A session goes by a running number: its id is as good as a password. Nothing is put into words
/// before a line is written.
/// </summary>
/// <param name="session">The session's number; null where there is none.</param>
/// <param name="message">What the client sent.</param>
internal sealed class LogScope(int? session, JsonRpcMessage? message = null) : IReadOnlyList<KeyValuePair<string, object?>>
{
    public int Count => Fields().Count();

    public KeyValuePair<string, object?> this[int index] => Fields().ElementAt(index);

    public IEnumerator<KeyValuePair<string, object?>> GetEnumerator() => Fields().GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public override string ToString() => string.Join(' ', Fields().Select(part => $"{part.Key} {part.Value}"));

    private IEnumerable<KeyValuePair<string, object?>> Fields()
    {
        if (session is { } number)
        {
            yield return new("session", number.ToString(System.Globalization.CultureInfo.InvariantCulture));
        }

        if (message is { Kind: not JsonRpcMessageKind.Response } sent)
        {
            yield return new("method", Encoding.UTF8.GetString(sent.Method));
            if (!sent.Id.IsNone)
            {
                yield return new("request_id", sent.Id.ToString());
            }
        }
    }
}
