using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;

namespace McpProxy.JsonRpc;

/// <summary>
/// One JSON-RPC message: its UTF-8 bytes exactly as they came, and where its envelope (kind, id, method) stands in them.
/// </summary>
/// <remarks>
/// The bytes belong to whoever read them. A stage that receives a message may use it until the task it returned
/// completes, and copies what it needs for longer. JSON-RPC 2.0, sections 4 and 5; MCP "Messages".
/// </remarks>
[SuppressMessage("Performance", "CA1815", Justification = "Messages are passed on, never compared.")]
public readonly struct JsonRpcMessage
{
    /// <summary>The deepest nesting that is read; deeper is a parse error.</summary>
    public const int MaxDepth = 1024;

    private readonly Range _method;
    private readonly Range _params;
    private readonly Range _result;
    private readonly int _plainMethodLength;
    private readonly byte _methodStart;

    /// <summary>The length of a method's name that has escapes: nobody knows it before it is read.</summary>
    private const int Spelled = -1;

    /// <summary>Longer parameters are not looked through before somebody asks.</summary>
    private const int LongParams = 4096;

    private JsonRpcMessage(ReadOnlyMemory<byte> utf8, in Envelope envelope, JsonRpcMessageKind kind)
    {
        Utf8 = utf8;
        Kind = kind;
        Id = envelope.HasId ? JsonRpcId.FromJson(utf8[envelope.Id]) : default;
        IdRange = envelope.Id;
        IsError = envelope.HasError;
        _method = envelope.Method;
        _plainMethodLength = envelope.HasMethod && !utf8.Span[envelope.Method].Contains((byte)'\\') ? envelope.Method.End.Value - envelope.Method.Start.Value - 2
            : envelope.HasMethod ? Spelled
            : 0;
        _methodStart = _plainMethodLength > 0 ? utf8.Span[envelope.Method.Start.Value + 1] : default;
        _params = envelope.Params;
        _result = envelope.Result;
        var parameters = utf8.Span[_params];

        // A name may be spelled with escapes; and most parameters have neither these nor a name with this first letter.
        MayHaveMeta = parameters.Length > LongParams || (parameters.IndexOfAny((byte)'\\', (byte)'_') >= 0 && (parameters.Contains((byte)'\\') || parameters.IndexOf("_meta"u8) >= 0));
    }

    private JsonRpcMessage(ReadOnlyMemory<byte> copy, in JsonRpcMessage original)
    {
        this = original;
        Utf8 = copy;
        Id = original.Id.Detach();
    }

    private JsonRpcMessage(ReadOnlyMemory<byte> utf8, in JsonRpcMessage original, JsonRpcId newId, Range id, Range replaced)
    {
        this = original;
        Utf8 = utf8;
        Id = newId.IsPlainNumber ? newId : JsonRpcId.FromJson(utf8[id]);
        IdRange = id;
        Kind = Kind == JsonRpcMessageKind.Notification ? JsonRpcMessageKind.Request : Kind;

        // What stands behind the id has moved by as much as what is in its place has grown.
        var from = replaced.End.Value;
        var by = utf8.Length - original.Utf8.Length;
        _method = Moved(_method);
        _params = Moved(_params);
        _result = Moved(_result);

        Range Moved(Range range) => range.Start.Value < from ? range : (range.Start.Value + by)..(range.End.Value + by);
    }

    /// <summary>The message's bytes, without white space around them.</summary>
    public ReadOnlyMemory<byte> Utf8 { get; }

    /// <summary>Request, notification or response.</summary>
    public JsonRpcMessageKind Kind { get; }

    /// <summary>The id; none on a notification.</summary>
    public JsonRpcId Id { get; }

    /// <summary>True when this is a response that carries an <c>error</c>.</summary>
    public bool IsError { get; }

    /// <summary>The method's name as UTF-8; empty on a response.</summary>
    public ReadOnlySpan<byte> Method => _plainMethodLength == Spelled ? Unescaped(Utf8.Span[_method]) : PlainMethod;

    /// <summary>The JSON text of <c>params</c>; empty when there is none.</summary>
    public ReadOnlyMemory<byte> Params => Utf8[_params];

    /// <summary>The JSON text of <c>result</c>; empty when there is none.</summary>
    public ReadOnlyMemory<byte> Result => Utf8[_result];

    /// <summary>Whether it may be worth while to look for <c>_meta</c> in the parameters: most have none, and several stages would look for what stands there.</summary>
    internal bool MayHaveMeta { get; }

    private ReadOnlySpan<byte> PlainMethod => _plainMethodLength == 0 ? default : Utf8.Span.Slice(_method.Start.Value + 1, _plainMethodLength);

    internal Range IdRange { get; }

    internal Range ParamsRange => _params;

    internal Range ResultRange => _result;

    /// <summary>Reads the envelope of one message, checking that the whole is well-formed JSON and UTF-8.</summary>
    /// <param name="utf8">The bytes; white space and a byte-order mark around the message are left out of it.</param>
    /// <param name="message">The message.</param>
    /// <param name="fault">What is wrong, and the error that the sender is owed.</param>
    /// <returns>False when this is not one JSON-RPC 2.0 message.</returns>
    public static bool TryParse(ReadOnlyMemory<byte> utf8, out JsonRpcMessage message, out JsonRpcFault fault) => TryParse(utf8, MaxDepth, out message, out fault);

    /// <summary>Reads the envelope of one message that may be nested so deep.</summary>
    internal static bool TryParse(ReadOnlyMemory<byte> utf8, int maxDepth, out JsonRpcMessage message, out JsonRpcFault fault)
    {
        message = default;
        utf8 = Trim(utf8);
        if (!System.Text.Unicode.Utf8.IsValid(utf8.Span))
        {
            fault = new(JsonRpcErrorCode.ParseError, "Parse error: the message is not valid UTF-8", default);
            return false;
        }

        Envelope envelope = default;
        try
        {
            if (!envelope.TryReadPlain(utf8.Span, maxDepth) && !envelope.Read(utf8.Span, maxDepth))
            {
                fault = new(JsonRpcErrorCode.InvalidRequest, "Invalid request: a message is a JSON object", default);
                return false;
            }
        }
        catch (JsonException e)
        {
            fault = FaultOf(e, utf8.Span, maxDepth);
            return false;
        }

        if (envelope.Problem(utf8.Span) is { } problem)
        {
            var id = envelope.HasId ? JsonRpcId.FromJson(utf8[envelope.Id]).Detach() : default;
            fault = new(JsonRpcErrorCode.InvalidRequest, $"Invalid request: {problem}", id, envelope.HasResult || envelope.HasError);
            return false;
        }

        var kind = !envelope.HasMethod ? JsonRpcMessageKind.Response
            : envelope.HasId ? JsonRpcMessageKind.Request
            : JsonRpcMessageKind.Notification;
        message = new(utf8, envelope, kind);
        fault = default;
        return true;
    }

    /// <summary>Whether these bytes start a JSON array: a batch, which revision 2025-03-26 allows.</summary>
    public static bool IsBatch(ReadOnlySpan<byte> utf8) => Trim(utf8) is [(byte)'[', ..];

    /// <summary>The elements of a batch, each as its own bytes.</summary>
    /// <param name="utf8">A JSON array.</param>
    /// <param name="elements">The elements, in order.</param>
    /// <param name="fault">What is wrong when the array is empty or not well-formed.</param>
    public static bool TrySplitBatch(ReadOnlyMemory<byte> utf8, out List<ReadOnlyMemory<byte>> elements, out JsonRpcFault fault) => TrySplitBatch(utf8, MaxDepth, out elements, out fault);

    /// <summary>The elements of a batch that may be nested so deep, the array counted.</summary>
    internal static bool TrySplitBatch(ReadOnlyMemory<byte> utf8, int maxDepth, out List<ReadOnlyMemory<byte>> elements, out JsonRpcFault fault)
    {
        elements = [];
        utf8 = Trim(utf8);
        try
        {
            var reader = new Utf8JsonReader(utf8.Span, new JsonReaderOptions { MaxDepth = maxDepth });
            reader.Read();
            while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
            {
                var start = (int)reader.TokenStartIndex;
                reader.Skip();
                elements.Add(utf8[start..(int)reader.BytesConsumed]);
            }

            reader.Read();
        }
        catch (JsonException e)
        {
            fault = FaultOf(e, utf8.Span, maxDepth);
            return false;
        }

        fault = elements.Count == 0 ? new(JsonRpcErrorCode.InvalidRequest, "Invalid request: an empty batch", default) : default;
        return elements.Count > 0;
    }

    /// <summary>This message with its own copy of the bytes, safe to keep.</summary>
    public JsonRpcMessage Detach() => new(Utf8.ToArray(), this);

    /// <summary>The same message in a buffer of the caller's, which is at least as long as <see cref="Utf8"/>.</summary>
    internal JsonRpcMessage DetachInto(Memory<byte> buffer)
    {
        Utf8.CopyTo(buffer);
        return new(buffer[..Utf8.Length], this);
    }

    /// <summary>This message with another id: bytes in which nothing else is different.</summary>
    /// <param name="utf8">The bytes.</param>
    /// <param name="newId">The id.</param>
    /// <param name="id">Where the id stands in them.</param>
    /// <param name="replaced">What stood in its place in this message; empty where nothing did.</param>
    internal JsonRpcMessage Moved(ReadOnlyMemory<byte> utf8, JsonRpcId newId, Range id, Range replaced) => new(utf8, this, newId, id, replaced);

    /// <summary>Whether the method is this one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Is(ReadOnlySpan<byte> method) =>
        _plainMethodLength > 0 ? _plainMethodLength == method.Length && _methodStart == method[0] && PlainMethod.SequenceEqual(method)
        : _plainMethodLength == Spelled && Method.SequenceEqual(method);

    /// <summary>The message's kind, method and id: enough for a log line, and nothing that could be secret.</summary>
    public override string ToString() => Kind switch
    {
        JsonRpcMessageKind.Request => $"request {Encoding.UTF8.GetString(Method)} id {Id}",
        JsonRpcMessageKind.Notification => $"notification {Encoding.UTF8.GetString(Method)}",
        _ => $"{(IsError ? "error" : "result")} for id {Id}",
    };

    private static JsonRpcFault FaultOf(JsonException exception, ReadOnlySpan<byte> utf8, int maxDepth) => JsonDepth.Exceeds(utf8, maxDepth)
        ? new(JsonRpcErrorCode.InvalidRequest, $"Invalid request: nested deeper than {maxDepth} levels{(maxDepth < MaxDepth ? " (--max-json-depth)" : "")}", default)
        : new(JsonRpcErrorCode.ParseError, $"Parse error: not valid JSON (byte {exception.BytePositionInLine})", default);

    private static ReadOnlySpan<byte> Unescaped(ReadOnlySpan<byte> quoted)
    {
        if (quoted.Length < 2)
        {
            return default;
        }

        var inner = quoted[1..^1];
        if (!inner.Contains((byte)'\\'))
        {
            return inner;
        }

        // A name with a lone surrogate is nobody's method; its own text says so as well as any other.
        return JsonMembers.AsString(quoted.ToArray()) is { } text ? Encoding.UTF8.GetBytes(text) : inner;
    }

    private static ReadOnlyMemory<byte> Trim(ReadOnlyMemory<byte> utf8)
    {
        var trimmed = Trim(utf8.Span);
        if (trimmed.Length == utf8.Length)
        {
            return utf8;
        }

        utf8.Span.Overlaps(trimmed, out var offset);
        return utf8.Slice(trimmed.IsEmpty ? 0 : offset, trimmed.Length);
    }

    private static ReadOnlySpan<byte> Trim(ReadOnlySpan<byte> utf8)
    {
        if (utf8.Length > 0 && utf8[0] is > (byte)' ' and < 0x80 && utf8[^1] > ' ')
        {
            return utf8;
        }

        if (utf8.StartsWith("\uFEFF"u8))
        {
            utf8 = utf8[3..];
        }

        return utf8.Trim(" \t\r\n"u8);
    }

    private struct Envelope
    {
        public Range Id;
        public Range Method;
        public Range Params;
        public Range Result;
        public bool HasId;
        public bool HasMethod;
        public bool HasResult;
        public bool HasError;
        private bool _versionIsTwo;
        private JsonTokenType _idType;
        private JsonTokenType _methodType;

        /// <summary>Finds the members of the envelope of a message without oddities; false, and nothing found, when the reader must look at it.</summary>
        public bool TryReadPlain(ReadOnlySpan<byte> utf8, int maxDepth)
        {
            if (ReadPlain(utf8, maxDepth))
            {
                return true;
            }

            this = default;
            return false;
        }

        /// <summary>Finds the members of the envelope; false when the value is not an object.</summary>
        public bool Read(ReadOnlySpan<byte> utf8, int maxDepth)
        {
            var reader = new Utf8JsonReader(utf8, new JsonReaderOptions { MaxDepth = maxDepth });
            reader.Read();
            if (reader.TokenType != JsonTokenType.StartObject)
            {
                // Scalars and trailing text are still owed a parse error when they are not JSON.
                reader.Skip();
                reader.Read();
                return false;
            }

            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var member = MemberOf(ref reader);
                reader.Read();
                var start = (int)reader.TokenStartIndex;
                var type = reader.TokenType;
                if (member == Member.Version)
                {
                    _versionIsTwo = type == JsonTokenType.String && JsonMembers.NameIs(ref reader, "2.0"u8);
                }

                reader.Skip();
                var range = start..(int)reader.BytesConsumed;
                Set(member, range, type);
            }

            // Anything after the object is a JsonException.
            reader.Read();
            return true;
        }

        /// <summary>Why the members do not make a JSON-RPC message; null when they do.</summary>
        public readonly string? Problem(ReadOnlySpan<byte> utf8)
        {
            if (!_versionIsTwo)
            {
                return "\"jsonrpc\" must be \"2.0\"";
            }

            if (HasId && _idType is not (JsonTokenType.String or JsonTokenType.Number or JsonTokenType.Null))
            {
                return "\"id\" must be a string or a number";
            }

            if (HasMethod)
            {
                return _methodType != JsonTokenType.String || Method.GetOffsetAndLength(utf8.Length).Length <= 2 ? "\"method\" must be a non-empty string"
                    : HasId && _idType == JsonTokenType.Null ? "\"id\" must not be null"
                    : null;
            }

            return !HasResult && !HasError ? "a message has a \"method\", a \"result\" or an \"error\""
                : !HasId && HasResult ? "a result needs the \"id\" of its request"
                : null;
        }

        private bool ReadPlain(ReadOnlySpan<byte> utf8, int maxDepth)
        {
            if (utf8 is not [(byte)'{', ..] || maxDepth < 1)
            {
                return false;
            }

            var at = 0;
            do
            {
                // Behind the brace, or the comma.
                at = JsonValue.SkipWhiteSpace(utf8, at + 1);
                var nameEnd = JsonValue.TextEnd(utf8, at);
                if (nameEnd < 0)
                {
                    return false;
                }

                var name = utf8[(at + 1)..(nameEnd - 1)];
                at = JsonValue.SkipWhiteSpace(utf8, nameEnd);
                if (at >= utf8.Length || utf8[at] != ':')
                {
                    return false;
                }

                var start = JsonValue.SkipWhiteSpace(utf8, at + 1);
                var end = JsonValue.End(utf8, start, maxDepth - 1);
                if (end < 0)
                {
                    return false;
                }

                var member = MemberOf(name);
                if (member == Member.Other && name.Contains((byte)'\\'))
                {
                    return false;
                }

                if (member == Member.Version)
                {
                    var version = utf8[start..end];
                    _versionIsTwo = version.SequenceEqual("\"2.0\""u8);
                    if (!_versionIsTwo && version.Contains((byte)'\\'))
                    {
                        return false;
                    }
                }

                Set(member, start..end, TypeOf(utf8[start]));
                at = JsonValue.SkipWhiteSpace(utf8, end);
            }
            while (at < utf8.Length && utf8[at] == ',');

            // The message's own white space was trimmed.
            return at == utf8.Length - 1 && utf8[at] == '}';
        }

        private void Set(Member member, Range range, JsonTokenType type)
        {
            switch (member)
            {
                case Member.Id:
                    (Id, HasId, _idType) = (range, true, type);
                    break;
                case Member.Method:
                    (Method, HasMethod, _methodType) = (range, true, type);
                    break;
                case Member.Params:
                    Params = range;
                    break;
                case Member.Result:
                    (Result, HasResult) = (range, true);
                    break;
                case Member.Error:
                    HasError = true;
                    break;
            }
        }

        private static JsonTokenType TypeOf(byte first) => first switch
        {
            (byte)'"' => JsonTokenType.String,
            (byte)'{' => JsonTokenType.StartObject,
            (byte)'[' => JsonTokenType.StartArray,
            (byte)'t' => JsonTokenType.True,
            (byte)'f' => JsonTokenType.False,
            (byte)'n' => JsonTokenType.Null,
            _ => JsonTokenType.Number,
        };

        private static Member MemberOf(ReadOnlySpan<byte> name) =>
            name.Length switch
            {
                2 => name.SequenceEqual("id"u8) ? Member.Id : Member.Other,
                5 => name.SequenceEqual("error"u8) ? Member.Error : Member.Other,
                6 => name.SequenceEqual("method"u8) ? Member.Method : name.SequenceEqual("params"u8) ? Member.Params : name.SequenceEqual("result"u8) ? Member.Result : Member.Other,
                7 => name.SequenceEqual("jsonrpc"u8) ? Member.Version : Member.Other,
                _ => Member.Other,
            };

        private static Member MemberOf(ref Utf8JsonReader reader) =>
            JsonMembers.NameIs(ref reader, "jsonrpc"u8) ? Member.Version
            : JsonMembers.NameIs(ref reader, "id"u8) ? Member.Id
            : JsonMembers.NameIs(ref reader, "method"u8) ? Member.Method
            : JsonMembers.NameIs(ref reader, "params"u8) ? Member.Params
            : JsonMembers.NameIs(ref reader, "result"u8) ? Member.Result
            : JsonMembers.NameIs(ref reader, "error"u8) ? Member.Error
            : Member.Other;

        private enum Member
        {
            Other,
            Version,
            Id,
            Method,
            Params,
            Result,
            Error,
        }
    }
}
