using System.Globalization;
using System.Text;
using System.Text.Json;
using McpProxy.JsonRpc;

namespace McpProxy.Transports.StreamableHttp;

/// <summary>One tool parameter that is mirrored into a header (<c>x-mcp-header</c>).</summary>
/// <param name="Name">The header's whole name, <c>Mcp-Param-…</c>.</param>
/// <param name="Path">The names of the properties that lead to the value in the call's arguments.</param>
internal sealed record ToolHeader(string Name, IReadOnlyList<string> Path)
{
    /// <summary>The header's value, not yet encoded, for a call's arguments; null when the call has no such value.</summary>
    public string? ValueFor(ReadOnlyMemory<byte> arguments)
    {
        foreach (var name in Path)
        {
            arguments = JsonMembers.Find(arguments, Encoding.UTF8.GetBytes(name));
        }

        if (arguments.IsEmpty)
        {
            return null;
        }

        var reader = new Utf8JsonReader(arguments.Span);
        reader.Read();
        return reader.TokenType switch
        {
            JsonTokenType.String => JsonMembers.AsString(arguments),
            JsonTokenType.True => "true",
            JsonTokenType.False => "false",
            JsonTokenType.Number => reader.TryGetInt64(out var integer) ? integer.ToString(CultureInfo.InvariantCulture)
                : reader.TryGetDecimal(out var number) && decimal.Truncate(number) == number ? decimal.Truncate(number).ToString(CultureInfo.InvariantCulture)
                : Encoding.UTF8.GetString(arguments.Span),
            _ => null,
        };
    }

    /// <summary>Whether a header's decoded value says the same as the body's: numbers by value, the rest by text.</summary>
    public static bool Matches(string header, string body) =>
        string.Equals(header, body, StringComparison.Ordinal)
        || (decimal.TryParse(header, NumberStyles.Float, CultureInfo.InvariantCulture, out var left)
            && decimal.TryParse(body, NumberStyles.Float, CultureInfo.InvariantCulture, out var right) && left == right);
}
