namespace McpProxy.SideBySide;

/// <summary>Everything that is measured, in the order of a round.</summary>
internal static class Scenarios
{
    private static readonly string[] s_relays = [Peer.Native, Peer.Floor];
    private static readonly string[] s_served = [Peer.Native, Peer.Floor, "mcp-proxy-npm", "supergateway"];

    public static IReadOnlyList<Scenario> All { get; } =
    [
        .. Both("start", ["start"], 11, 3),
        new("https-start", Side.Connecting, ["start"], 11, 3) { IsSecure = true },
        .. Both("soak", ["soak"], 3, 1),

        // One processor for all: what the work costs, and not how well it spreads.
        .. Both("latency", ["latency", "--pin", "1"], 5, 1, shortLoad: ["--ms", "600"]),
        .. Both("latency-1m", ["latency-1m"], 5, 1, shortLoad: ["--ms", "600"]),
        .. Both("throughput", ["throughput"], 5, 1, shortLoad: ["--ms", "800"]),
        new("throughput-100", Side.Serving, ["throughput", "--sessions", "100"], 3, 1) { ShortLoad = ["--ms", "800"], HasManySessions = true, Peers = s_served },
        .. Both("growth", ["growth"], 1, 1, s_relays, ["--count", "50000"]),
        .. Both("big", ["big"], 3, 1, s_relays),
        new("sessions", Side.Serving, ["sessions", "--sessions", "1000"], 1, 1)
        {
            ShortLoad = ["--sessions", "300"],
            HasManySessions = true,
            Peers = s_served,
            Timeout = 120,
        },
        new("term", Side.Serving, ["term", "--sessions", "100"], 5, 1) { HasManySessions = true, Peers = s_relays },
        .. Both("progress", ["progress"], 1, 1),
        .. Both("slow", ["slow"], 3, 1),
        new("instructions", Side.Connecting, ["sequence"], 1, 1) { Peers = s_relays, CountsInstructions = true },
        new("instructions", Side.Serving, ["sequence"], 1, 1) { Peers = s_relays, CountsInstructions = true },
        new("same-id", Side.Serving, ["same-id"], 1, 1) { Peers = s_served },
    ];

    /// <summary>The name of a scenario as it stands in results: with its side.</summary>
    public static string Key(Side side, string name) => $"{(side == Side.Connecting ? "connecting" : "serving")}/{name}";

    private static IEnumerable<Scenario> Both(string name, string[] load, int rounds, int shortRounds, string[]? peers = null, string[]? shortLoad = null) =>
        from side in (Side[])[Side.Connecting, Side.Serving]
        select new Scenario(name, side, load, rounds, shortRounds) { Peers = peers, ShortLoad = shortLoad ?? [] };
}
