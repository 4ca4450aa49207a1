using System.Buffers;

namespace McpProxy.JsonRpc;

/// <summary>Tells text that is nested too deep from text that is no JSON, once a reader has given it up.</summary>
internal static class JsonDepth
{
    private static readonly SearchValues<byte> s_structure = SearchValues.Create("\"{}[]"u8);
    private static readonly SearchValues<byte> s_stringEnd = SearchValues.Create("\"\\"u8);

    /// <summary>Whether objects and arrays stand in each other more than so many levels deep. Stops where they first do.</summary>
    public static bool Exceeds(ReadOnlySpan<byte> utf8, int levels)
    {
        var depth = 0;
        int at;
        while ((at = utf8.IndexOfAny(s_structure)) >= 0)
        {
            var found = utf8[at];
            utf8 = utf8[(at + 1)..];
            switch (found)
            {
                case (byte)'{' or (byte)'[':
                    if (++depth > levels)
                    {
                        return true;
                    }

                    break;
                case (byte)'}' or (byte)']':
                    depth--;
                    break;
                default:
                    utf8 = AfterString(utf8);
                    break;
            }
        }

        return false;
    }

    private static ReadOnlySpan<byte> AfterString(ReadOnlySpan<byte> utf8)
    {
        int at;
        while ((at = utf8.IndexOfAny(s_stringEnd)) >= 0)
        {
            if (utf8[at] == '"')
            {
                return utf8[(at + 1)..];
            }

            utf8 = utf8[Math.Min(utf8.Length, at + 2)..];
        }

        return default;
    }
}
