using System.Text;
using McpProxy.JsonRpc;
using Microsoft.Extensions.Logging;

namespace McpProxy.Cli.Logging;

/// <summary>What a log line belongs to: a session, a request. The innermost scope that names something counts, and the line's own message most.</summary>
internal sealed class LogFields
{
    private static readonly string[] s_names = ["session", "method", "request_id"];

    private readonly string?[] _values = new string?[s_names.Length];

    /// <summary>The fields that are known, in a fixed order.</summary>
    public IEnumerable<(string Name, string Value)> All =>
        s_names.Zip(_values).Where(pair => pair.Second is not null).Select(pair => (pair.First, pair.Second!));

    /// <summary>The same in front of a line of text: <c>[session 3, request 17] </c>.</summary>
    public string Short => (_values[0], _values[2]) switch
    {
        (null, _) => "",
        ({ } session, null) => $"[session {session}] ",
        ({ } session, { } request) => $"[session {session}, request {request}] ",
    };

    /// <summary>The fields of a line that is logged now.</summary>
    public static LogFields Of<TState>(IExternalScopeProvider scopes, TState state)
    {
        var fields = new LogFields();
        scopes.ForEachScope(static (scope, fields) => fields.Take(scope as IEnumerable<KeyValuePair<string, object?>>), fields);
        fields.TakeMessage(state as IEnumerable<KeyValuePair<string, object?>>);
        return fields;
    }

    private void Take(IEnumerable<KeyValuePair<string, object?>>? scope)
    {
        foreach (var (name, value) in scope ?? [])
        {
            if (Array.IndexOf(s_names, name) is >= 0 and var index)
            {
                _values[index] = value?.ToString();
            }
        }
    }

    private void TakeMessage(IEnumerable<KeyValuePair<string, object?>>? state)
    {
        foreach (var (_, value) in state ?? [])
        {
            if (value is JsonRpcMessage message)
            {
                _values[1] = message.Kind == JsonRpcMessageKind.Response ? null : Encoding.UTF8.GetString(message.Method);
                _values[2] = message.Id.IsNone ? null : message.Id.ToString();
            }
        }
    }
}
