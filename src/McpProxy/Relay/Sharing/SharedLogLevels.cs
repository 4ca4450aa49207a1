using System.Text;
using McpProxy.JsonRpc;

namespace McpProxy.Relay.Sharing;

/// <summary>
/// The log level that each client of a shared server wants (MCP 2025-11-25, "Logging"): the server is told the most talkative one, and
/// each client hears what it asked for.
/// </summary>
internal sealed class SharedLogLevels
{
    private static readonly string[] s_levels = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

    private readonly Lock _gate = new();
    private readonly Dictionary<SharedLane, int> _byLane = [];

    /// <summary>The level that a message names; null when it is none that the protocol knows.</summary>
    public static int? LevelOf(in JsonRpcMessage message)
    {
        var level = Array.IndexOf(s_levels, JsonMembers.AsString(JsonMembers.Find(message.Params, "level"u8)));
        return level < 0 ? null : level;
    }

    /// <summary>A <c>logging/setLevel</c> with a level in place of the one it has.</summary>
    public static JsonRpcMessage Request(int level) => JsonSplice.Reparse(
        Encoding.UTF8.GetBytes($$$"""{"jsonrpc":"2.0","id":0,"method":"logging/setLevel","params":{"level":"{{{s_levels[level]}}}"}}"""));

    /// <summary>A client asks for a level.</summary>
    /// <returns>The level to tell the server.</returns>
    public int Set(SharedLane lane, int level)
    {
        lock (_gate)
        {
            _byLane[lane] = level;
            return _byLane.Values.Min();
        }
    }

    /// <summary>A client is gone.</summary>
    /// <returns>The level to tell the server now; null when nothing changes.</returns>
    public int? Remove(SharedLane lane)
    {
        lock (_gate)
        {
            return _byLane.Remove(lane, out var level) && _byLane.Count > 0 && _byLane.Values.Min() is var least && least > level ? least : null;
        }
    }

    /// <summary>Whether a client wants to hear a message of this level; one that never said anything hears all.</summary>
    public bool Wants(SharedLane lane, int? level)
    {
        lock (_gate)
        {
            return level is null || !_byLane.TryGetValue(lane, out var least) || level >= least;
        }
    }
}
