using System.CommandLine;
using McpProxy.Eras;

namespace McpProxy.Cli.CommandLine;

/// <summary>The options about clients and servers of different eras of the protocol.</summary>
internal sealed class BridgeOptions
{
    private readonly Option<string> _bridge = new("--bridge") { HelpName = "on|off", Description = "Translate between a client and a server of different eras of the protocol; off relays messages as they are. Default: on" };
    private readonly Option<string> _upstream = new("--upstream-protocol") { HelpName = "auto|legacy|modern", Description = "What the server speaks: legacy up to 2025-11-25, modern from 2026-07-28. Default: auto, found out" };
    private readonly Option<string> _downstream = new("--downstream-protocol") { HelpName = "auto|legacy|modern", Description = "What clients are offered. Default: auto, whichever they ask for" };
    private readonly Option<double> _idleTimeout = ProxyCommand.Seconds("--bridge-idle-timeout", "How long a legacy session that serves modern clients may be unused", 300);

    public BridgeOptions()
    {
        _bridge.AcceptOnlyFromAmong("on", "off");
        _upstream.AcceptOnlyFromAmong("auto", "legacy", "modern");
        _downstream.AcceptOnlyFromAmong("auto", "legacy", "modern");
        All = [_bridge, _upstream, _downstream, _idleTimeout];
    }

    /// <summary>The options, in the order of the help.</summary>
    public IReadOnlyList<Option> All { get; }

    /// <summary>What they ask for; null for no bridge.</summary>
    /// <exception cref="UsageException">They do not go together.</exception>
    public EraBridgeOptions? Bridge(ParseResult parsed)
    {
        if (parsed.GetValue(_bridge) == "off")
        {
            return parsed.GetValue(_upstream) is null && parsed.GetValue(_downstream) is null
                ? null
                : throw new UsageException("--upstream-protocol and --downstream-protocol mean nothing with --bridge off");
        }

        return new()
        {
            Upstream = ChoiceOf(parsed.GetValue(_upstream)),
            Downstream = ChoiceOf(parsed.GetValue(_downstream)),
            IdleTimeout = TimeSpan.FromSeconds(parsed.GetValue(_idleTimeout)),
        };
    }

    private static EraChoice ChoiceOf(string? word) => word switch
    {
        "legacy" => EraChoice.Legacy,
        "modern" => EraChoice.Modern,
        _ => EraChoice.Auto,
    };
}
