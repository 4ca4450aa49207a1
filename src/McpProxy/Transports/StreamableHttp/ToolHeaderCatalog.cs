using System.Collections.Concurrent;
using System.Text.Json;
using McpProxy.JsonRpc;
using Microsoft.Extensions.Logging;

namespace McpProxy.Transports.StreamableHttp;

/// <summary>
/// What one server's <c>tools/list</c> answers have said about parameters that are mirrored into headers. Learned from
/// the answers that pass by; no schema reference is ever followed.
/// </summary>
internal sealed partial class ToolHeaderCatalog(ILogger logger)
{
    private const int MaxTools = 10_000;

    private readonly Lock _gate = new();
    private Task _listing = Task.CompletedTask;
    private readonly ConcurrentDictionary<string, IReadOnlyList<ToolHeader>> _tools = new(StringComparer.Ordinal);

    /// <summary>Has the tools listed and learns from the answers, once for all who need it at the same time.</summary>
    /// <param name="call">A call that needs it, whose protocol members the requests carry.</param>
    /// <param name="ask">Sends a request of the proxy's own; null when there is no answer.</param>
    public Task ListOnceAsync(JsonRpcMessage call, Func<JsonRpcMessage, Task<JsonRpcMessage?>> ask)
    {
        lock (_gate)
        {
            if (_listing.IsCompleted)
            {
                _listing = ListAsync(call, ask);
            }

            return _listing;
        }
    }

    /// <summary>The mirrored parameters of a tool; null when no list has named the tool yet.</summary>
    public IReadOnlyList<ToolHeader>? Find(string tool) => _tools.GetValueOrDefault(tool);

    /// <summary>Learns from the answer to a <c>tools/list</c> and returns it without the tools whose annotations break the rules, which a client must not see.</summary>
    public JsonRpcMessage LearnAndFilter(JsonRpcMessage response)
    {
        var tools = JsonMembers.Find(response.Result, "tools"u8);
        if (tools.Span is not [(byte)'[', ..])
        {
            return response;
        }

        var annotated = tools.Span.IndexOf("x-mcp-header"u8) >= 0;
        if (!JsonRpcMessage.TrySplitBatch(tools, out var elements, out _))
        {
            return response;
        }

        var kept = new List<ReadOnlyMemory<byte>>(elements.Count);
        foreach (var element in elements)
        {
            if (Learn(element, annotated) is not { } problem)
            {
                kept.Add(element);
            }
            else
            {
                LogInvalidTool(JsonMembers.AsString(JsonMembers.Find(element, "name"u8)) ?? "", problem);
            }
        }

        return kept.Count == elements.Count
            ? response
            : JsonSplice.Reparse(JsonSplice.Apply(response.Utf8, (JsonSplice.RangeOf(response.Utf8, tools), Join(kept))));
    }

    /// <summary>Learns from the answer to a <c>tools/list</c>.</summary>
    public void Learn(in JsonRpcMessage response)
    {
        var tools = JsonMembers.Find(response.Result, "tools"u8);
        if (tools.Span is [(byte)'[', ..] && JsonRpcMessage.TrySplitBatch(tools, out var elements, out _))
        {
            var annotated = tools.Span.IndexOf("x-mcp-header"u8) >= 0;
            foreach (var element in elements)
            {
                Learn(element, annotated);
            }
        }
    }

    private async Task ListAsync(JsonRpcMessage call, Func<JsonRpcMessage, Task<JsonRpcMessage?>> ask)
    {
        // Started under the lock that others wait for.
        await Task.Yield();
        string? cursor = null;
        for (var page = 0; page < ToolListRequest.MaxPages; page++)
        {
            if (await ask(ToolListRequest.For(call, cursor)) is not { IsError: false } answer)
            {
                return;
            }

            Learn(answer);
            cursor = ToolListRequest.NextCursor(answer);
            if (cursor is null)
            {
                return;
            }
        }
    }

    private static byte[] Join(List<ReadOnlyMemory<byte>> elements)
    {
        using var buffer = new MemoryStream();
        buffer.WriteByte((byte)'[');
        for (var i = 0; i < elements.Count; i++)
        {
            if (i > 0)
            {
                buffer.WriteByte((byte)',');
            }

            buffer.Write(elements[i].Span);
        }

        buffer.WriteByte((byte)']');
        return buffer.ToArray();
    }

    private static (IReadOnlyList<ToolHeader> Headers, string? Problem) ReadSchema(JsonElement schema)
    {
        try
        {
            return ToolSchemaReader.Read(schema);
        }
        catch (InvalidOperationException)
        {
            return ([], "a name in its schema is no Unicode text");
        }
    }

    /// <summary>Learns one tool's parameters; or says what is wrong with its annotations.</summary>
    private string? Learn(ReadOnlyMemory<byte> tool, bool annotated)
    {
        if (JsonMembers.AsString(JsonMembers.Find(tool, "name"u8)) is not { } name)
        {
            return null;
        }

        IReadOnlyList<ToolHeader> headers = [];
        if (annotated && tool.Span.IndexOf("x-mcp-header"u8) >= 0)
        {
            using var schema = JsonDocument.Parse(
                JsonMembers.Find(tool, "inputSchema"u8) is { IsEmpty: false } text ? text : "{}"u8.ToArray(), new JsonDocumentOptions { MaxDepth = JsonRpcMessage.MaxDepth });
            (headers, var problem) = ReadSchema(schema.RootElement);
            if (problem is not null)
            {
                _tools.TryRemove(name, out _);
                return problem;
            }
        }

        if (_tools.Count < MaxTools || _tools.ContainsKey(name))
        {
            _tools[name] = headers;
        }

        return null;
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The tool \"{Tool}\" is left out of the list, as the specification demands: {Problem}")]
    private partial void LogInvalidTool(string tool, string problem);
}
