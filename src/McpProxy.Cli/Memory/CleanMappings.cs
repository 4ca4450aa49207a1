using System.Globalization;

namespace McpProxy.Cli.Memory;

/// <summary>
/// Finds the parts of a file that are mapped just as they stand in it: read-only, and never written to. What the loader has relocated
/// is read-only too by now, but cannot be had from the file again.
/// </summary>
internal static class CleanMappings
{
    /// <summary>The clean mappings of a file.</summary>
    /// <param name="smaps">The lines of <c>/proc/self/smaps</c> (see proc(5)).</param>
    /// <param name="file">The path of the file, as the kernel names it.</param>
    public static IReadOnlyList<MappedRange> Of(IEnumerable<string> smaps, string file)
    {
        var found = new List<MappedRange>();
        MappedRange? candidate = null;
        var sawAnonymous = false;
        var sawSwap = false;
        foreach (var line in smaps)
        {
            if (TryReadHeader(line, out var range, out var isReadOnly, out var path))
            {
                Keep();
                candidate = isReadOnly && path == file ? range : null;
                (sawAnonymous, sawSwap) = (false, false);
            }
            else if (candidate is not null && IsField(line, "Anonymous:", out var isZero))
            {
                // Pages that are no longer the file's.
                sawAnonymous = true;
                candidate = isZero ? candidate : null;
            }
            else if (candidate is not null && IsField(line, "Swap:", out isZero))
            {
                // The same, but written out.
                sawSwap = true;
                candidate = isZero ? candidate : null;
            }
        }

        Keep();
        return found;

        void Keep()
        {
            // A kernel that does not say is not believed to mean none.
            if (candidate is { } clean && sawAnonymous && sawSwap)
            {
                found.Add(clean);
            }
        }
    }

    private static bool TryReadHeader(string line, out MappedRange range, out bool isReadOnly, out string path)
    {
        (range, isReadOnly, path) = (default, false, "");
        var parts = line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries);
        if (parts.Length < 5 || parts[0].Split('-') is not [var first, var last]
            || !ulong.TryParse(first, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var start)
            || !ulong.TryParse(last, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var end))
        {
            return false;
        }

        range = new((nuint)start, (nuint)(end - start));
        isReadOnly = parts[1] is "r--p" or "r-xp";
        path = parts.Length == 6 ? parts[5] : "";
        return true;
    }

    private static bool IsField(string line, string name, out bool isZero)
    {
        isZero = false;
        if (!line.StartsWith(name, StringComparison.Ordinal))
        {
            return false;
        }

        isZero = line[name.Length..].Trim() == "0 kB";
        return true;
    }
}
