using System.Text.Json;

namespace McpProxy.JsonRpc;

/// <summary>
/// Reads a message that cannot be read as one (it is too long to keep, or broken somewhere), piece by piece, for the two
/// things that matter of it: its id, and whether it is a request or a response.
/// </summary>
internal sealed class EnvelopeScanner
{
    private const int MaxCaptured = 256;

    private readonly List<byte> _token = new(64);
    private int _depth;
    private bool _inString;
    private bool _escaped;
    private bool _isValue;
    private bool _capturing;
    private string _name = "";
    private byte[]? _id;
    private bool _hasMethod;
    private bool _hasOutcome;

    public void Read(ReadOnlySpan<byte> bytes)
    {
        foreach (var b in bytes)
        {
            if (_inString)
            {
                ReadInString(b);
            }
            else
            {
                ReadOutside(b);
            }
        }
    }

    /// <summary>The fault to report for the message that was read.</summary>
    public JsonRpcFault Fault(int code, string problem) => new(code, problem, Id(), _hasOutcome && !_hasMethod);

    /// <summary>The id, if what stands in its place is one.</summary>
    private JsonRpcId Id()
    {
        if (_id is null || !System.Text.Unicode.Utf8.IsValid(_id))
        {
            return default;
        }

        try
        {
            var reader = new Utf8JsonReader(_id);
            return reader.Read() && reader.TokenType is JsonTokenType.String or JsonTokenType.Number && !reader.Read() ? JsonRpcId.FromJson(_id) : default;
        }
        catch (JsonException)
        {
            return default;
        }
    }

    private void ReadInString(byte b)
    {
        Capture(b);
        if (_escaped)
        {
            _escaped = false;
        }
        else if (b == '\\')
        {
            _escaped = true;
        }
        else if (b == '"')
        {
            _inString = false;
            EndToken();
        }
    }

    private void ReadOutside(byte b)
    {
        switch (b)
        {
            case (byte)'"':
                _inString = true;
                BeginToken(b);
                break;
            case (byte)'{' or (byte)'[':
                _depth++;
                break;
            case (byte)'}' or (byte)']':
                EndToken();
                _depth--;
                break;
            case (byte)':' when _depth == 1:
                _isValue = true;
                break;
            case (byte)',' when _depth == 1:
                EndToken();
                _isValue = false;
                break;
            case (byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n' or (byte)',' or (byte)':':
                EndToken();
                break;
            default:
                if (_capturing)
                {
                    Capture(b);
                }
                else
                {
                    BeginToken(b);
                }

                break;
        }
    }

    private void BeginToken(byte b)
    {
        _capturing = _depth == 1;
        _token.Clear();
        Capture(b);
    }

    private void Capture(byte b)
    {
        if (_capturing && _token.Count < MaxCaptured)
        {
            _token.Add(b);
        }
    }

    private void EndToken()
    {
        if (!_capturing)
        {
            return;
        }

        _capturing = false;
        if (!_isValue)
        {
            _name = System.Text.Encoding.UTF8.GetString([.. _token]).Trim('"');
            _hasMethod |= _name == "method";
            _hasOutcome |= _name is "result" or "error";
        }
        else if (_name == "id" && _token.Count < MaxCaptured)
        {
            _id = [.. _token];
        }
    }
}
