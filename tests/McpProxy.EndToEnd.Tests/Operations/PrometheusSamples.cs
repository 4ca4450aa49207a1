using System.Globalization;
using System.Text.RegularExpressions;

namespace McpProxy.EndToEnd.Tests.Operations;

/// <summary>Reads Prometheus' text format (0.0.4), and insists on it.</summary>
internal sealed partial class PrometheusSamples
{
    private readonly Dictionary<string, double> _samples = new(StringComparer.Ordinal);

    public PrometheusSamples(string text)
    {
        text.ShouldEndWith("\n");
        var types = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            if (line.StartsWith("# TYPE ", StringComparison.Ordinal))
            {
                var words = line.Split(' ');
                words.Length.ShouldBe(4, line);
                words[3].ShouldBeOneOf("counter", "gauge", "histogram");
                types.TryAdd(words[2], words[3]).ShouldBeTrue($"one family, one type: {line}");
            }
            else if (!line.StartsWith("# HELP ", StringComparison.Ordinal))
            {
                var match = Sample().Match(line);
                match.Success.ShouldBeTrue(line);
                var name = match.Groups["name"].Value;
                types.Keys.ShouldContain(family => name == family || (types[family] == "histogram" && name.StartsWith(family, StringComparison.Ordinal)), line);
                _samples.TryAdd(line[..line.LastIndexOf(' ')], double.Parse(match.Groups["value"].Value, CultureInfo.InvariantCulture)).ShouldBeTrue($"one sample, one line: {line}");
            }
        }
    }

    public IEnumerable<string> Names => _samples.Keys;

    /// <summary>The value of a sample, named as it is written.</summary>
    public double this[string sample] => _samples.TryGetValue(sample, out var value) ? value : throw new ShouldAssertException($"no {sample} in\n{string.Join('\n', _samples.Keys)}");

    [GeneratedRegex("""^(?<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\["\\n])*"(,[a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\["\\n])*")*\})? (?<value>[0-9.eE+-]+|\+Inf|NaN)$""", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Sample();
}
