using System.Text;

namespace McpProxy.Tests.JsonRpc.Scanning;

/// <summary>JSON of every shape, and what becomes of it when bytes go wrong; the same for the same seed.</summary>
internal sealed class RandomJson(int seed)
{
    private static readonly string[] s_names = ["jsonrpc", "id", "method", "params", "result", "error", "x", "", "i\\u0064", "name with \\\"quotes\\\"", "äöü", "\\ud800"];
    private static readonly string[] s_texts = ["", "2.0", "a", "tools/call", "line\\nline", "\\\"", "\\\\", "\\u00e4\\ud83d\\ude00", "\\ud800", "ä€😀", "\\/\\b\\f\\r\\t", "{[\\\"]}"];
    private static readonly string[] s_numbers = ["0", "-0", "1", "-17", "1.5", "1e5", "1E+05", "-0.0e-7", "123456789012345678901234567890"];
    private static readonly string[] s_space = ["", "", "", " ", "\n", "\t\r\n  "];
    private static readonly byte[] s_bytes = [.. "\"\\{}[],:0123456789.-+eEtrufalsn u/x \n\t"u8, 0, 1, 0x1F, 0x7F, 0x80, 0xC3, 0xE2, 0xED, 0xF0, 0xFF];

    private readonly Random _random = new(seed);

    /// <summary>A message, or something like one.</summary>
    public string Message()
    {
        var members = new List<string>();
        Add(95, "jsonrpc", "\"2.0\"");
        Add(80, "id", Scalar());
        Add(60, "method", "\"tools/call\"");
        Add(60, "params", Value(4));
        Add(40, "result", Value(4));
        Add(15, "error", Value(2));
        Add(15, s_names[_random.Next(s_names.Length)], Value(3));
        Add(10, s_names[_random.Next(s_names.Length)], Value(3));
        return $"{{{Space()}{string.Join($"{Space()},{Space()}", members.OrderBy(_ => _random.Next()))}{Space()}}}";

        void Add(int percent, string name, string value)
        {
            if (_random.Next(100) < percent)
            {
                members.Add($"\"{name}\"{Space()}:{Space()}{value}");
            }
        }
    }

    /// <summary>A value with so many levels at most.</summary>
    public string Value(int levels)
    {
        var count = _random.Next(4);
        return levels == 0 || _random.Next(3) == 0 ? Scalar()
            : _random.Next(2) == 0 ? $"[{Space()}{Joined(() => Value(levels - 1))}{Space()}]"
            : $"{{{Space()}{Joined(() => $"{Text(s_names)}{Space()}:{Space()}{Value(levels - 1)}")}{Space()}}}";

        string Joined(Func<string> element) => string.Join($"{Space()},{Space()}", Enumerable.Range(0, count).Select(_ => element()));
    }

    /// <summary>Bytes of which some are wrong, or missing, or too many.</summary>
    public byte[] Broken(string json)
    {
        var bytes = Encoding.UTF8.GetBytes(json).ToList();
        for (var i = _random.Next(3); i >= 0 && bytes.Count > 1; i--)
        {
            var at = _random.Next(bytes.Count);
            switch (_random.Next(4))
            {
                case 0:
                    bytes.RemoveAt(at);
                    break;
                case 1:
                    bytes.Insert(at, s_bytes[_random.Next(s_bytes.Length)]);
                    break;
                case 2:
                    bytes[at] = s_bytes[_random.Next(s_bytes.Length)];
                    break;
                default:
                    bytes.RemoveRange(at, Math.Min(bytes.Count - at, _random.Next(1, 5)));
                    break;
            }
        }

        return [.. bytes];
    }

    private string Scalar() => _random.Next(6) switch
    {
        0 => "null",
        1 => _random.Next(2) == 0 ? "true" : "false",
        2 or 3 => s_numbers[_random.Next(s_numbers.Length)],
        _ => Text(s_texts),
    };

    // Longer than what is read byte by byte, as often as not.
    private string Text(string[] choices) => $"\"{new string('x', _random.Next(2) * _random.Next(40))}{choices[_random.Next(choices.Length)]}{new string('y', _random.Next(2) * _random.Next(40))}\"";

    private string Space() => s_space[_random.Next(s_space.Length)];
}
