using System.Globalization;

namespace McpProxy.TestServer;

/// <summary>What the command line asks for.</summary>
/// <param name="Http">Whether to serve HTTP; standard input and output otherwise.</param>
/// <param name="Port">The port to serve on; 0 for any free one.</param>
/// <param name="Era">The revisions to speak.</param>
/// <param name="Resumable">Whether HTTP clients of the legacy era can come back to a stream that broke.</param>
internal sealed record ServerArguments(bool Http, int Port, Era Era, bool Resumable)
{
    public const string Usage = "mcp-test-server (--stdio | --http [--port N] [--resumable]) [--era legacy|modern|dual]";

    /// <exception cref="FormatException">The words are not what <see cref="Usage"/> says.</exception>
    public static ServerArguments Parse(string[] words)
    {
        var result = new ServerArguments(Http: false, Port: 0, Era.Dual, Resumable: false);
        var hasTransport = false;
        for (var i = 0; i < words.Length; i++)
        {
            switch (words[i])
            {
                case "--stdio":
                    hasTransport = true;
                    break;
                case "--http":
                    result = result with { Http = true };
                    hasTransport = true;
                    break;
                case "--resumable":
                    result = result with { Resumable = true };
                    break;
                case "--port" when i + 1 < words.Length:
                    result = result with { Port = int.Parse(words[++i], CultureInfo.InvariantCulture) };
                    break;
                case "--era" when i + 1 < words.Length:
                    result = result with { Era = Enum.Parse<Era>(words[++i], ignoreCase: true) };
                    break;
                default:
                    throw new FormatException($"\"{words[i]}\" is not understood");
            }
        }

        return hasTransport ? result : throw new FormatException("neither --stdio nor --http is given");
    }
}
