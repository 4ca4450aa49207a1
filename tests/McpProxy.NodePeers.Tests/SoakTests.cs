using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests;

/// <summary>A few seconds of <c>tests/soak</c>, so that it keeps working; run it by hand for as long as you like.</summary>
public sealed class SoakTests
{
    private static readonly string s_program = Path.GetFullPath(Path.Combine(ProxyProgram.PeersDirectory, "..", "..", "soak", "soak.mjs"));

    [Fact]
    public async Task Nobody_reads_what_is_anothers_and_no_child_is_left()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "it looks for processes in /proc");
        await using var scene = new Scene();

        Peer[] soaks = [.. new[] { "per-session", "shared", "stateless" }.Select(mode =>
            scene.Start($"soak ({mode})", NodePackages.Node, s_program, ProxyProgram.Path, "--mode", mode, "--seconds", "4", "--clients", "3"))];

        foreach (var soak in soaks)
        {
            (await soak.ExitAsync()).ShouldBe(0, soak.ToString());
        }
    }
}
