using System.IO.Pipes;
using McpProxy.Relay;
using McpProxy.Transports.Http;
using McpProxy.Transports.Stdio;

namespace McpProxy.Benchmarks.Paths;

/// <summary>Standard input and output to Streamable HTTP.</summary>
internal sealed class ConnectingPath(string server) : IMessagePath
{
    private readonly EchoServer _server = new(server);
    private readonly AnonymousPipeServerStream _input = new(PipeDirection.Out);
    private readonly AnonymousPipeServerStream _output = new(PipeDirection.In);
    private readonly byte[] _call = [.. SampleMessage.Request(200), (byte)'\n'];
    private readonly byte[] _answer = new byte[64 * 1024];
    private HttpUpstream? _upstream;
    private Task? _session;

    public string Name => "Path.Connecting";

    public Task OpenAsync(CancellationToken cancellationToken)
    {
        var clientInput = new AnonymousPipeClientStream(PipeDirection.In, _input.ClientSafePipeHandle);
        var clientOutput = new AnonymousPipeClientStream(PipeDirection.Out, _output.ClientSafePipeHandle);
        _upstream = new(new() { Url = _server.Url });
        _session = new RelaySession(new StdioConnection(clientInput, clientOutput), _upstream.Connect()).RunAsync(cancellationToken);
        Exchange([.. SessionOpening.Initialize, (byte)'\n']);
        _input.Write([.. SessionOpening.Initialized, (byte)'\n']);
        return Task.CompletedTask;
    }

    public void Call() => Exchange(_call);

    public async ValueTask DisposeAsync()
    {
        await _input.DisposeAsync();
        await (_session ?? Task.CompletedTask);
        await _output.DisposeAsync();
        if (_upstream is not null)
        {
            await _upstream.DisposeAsync();
        }

        _server.Dispose();
    }

    private void Exchange(ReadOnlySpan<byte> line)
    {
        _input.Write(line);
        var count = 0;
        while (count == 0 || _answer[count - 1] != '\n')
        {
            var read = _output.Read(_answer.AsSpan(count));
            count += read > 0 ? read : throw new IOException("the relay closed its side");
        }
    }
}
