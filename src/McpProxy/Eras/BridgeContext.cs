using McpProxy.Transports;
using Microsoft.Extensions.Logging;

namespace McpProxy.Eras;

/// <summary>What everything around one bridged server has in common.</summary>
/// <param name="Upstream">The server.</param>
/// <param name="Options">The bounds.</param>
/// <param name="Facts">What is known about the server's eras.</param>
/// <param name="Doubt">What finds out that it was replaced.</param>
/// <param name="Time">The clock.</param>
/// <param name="Logger">Where it logs.</param>
internal sealed record BridgeContext(IUpstream Upstream, EraBridgeOptions Options, EraFacts Facts, EraDoubt Doubt, TimeProvider Time, ILogger Logger);
