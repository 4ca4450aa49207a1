using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace McpProxy.TestServer;

/// <summary>The server on standard input and output.</summary>
internal static class StdioPeer
{
    /// <summary>Serves until standard input ends.</summary>
    public static async Task RunAsync(ServerArguments arguments)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new());
        PeerContent.AddTo(builder.Services, arguments.Era).WithStdioServerTransport();
        using var host = builder.Build();
        await host.RunAsync();
    }
}
