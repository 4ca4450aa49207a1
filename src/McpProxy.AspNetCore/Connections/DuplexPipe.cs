using System.IO.Pipelines;

namespace McpProxy.AspNetCore.Connections;

/// <summary>What the server reads a connection from and writes it to.</summary>
internal sealed class DuplexPipe(PipeReader input, PipeWriter output) : IDuplexPipe
{
    public PipeReader Input => input;

    public PipeWriter Output => output;
}
