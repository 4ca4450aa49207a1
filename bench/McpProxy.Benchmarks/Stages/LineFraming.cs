using BenchmarkDotNet.Attributes;
using McpProxy.Transports.Stdio;

namespace McpProxy.Benchmarks.Stages;

/// <summary>Lines, in from a pipe and out to one.</summary>
public class LineFraming : StageBenchmark
{
    /// <summary>What one read of a pipe gives at most.</summary>
    private const int PipeSize = 64 * 1024;

    private byte[] _line = [];
    private byte[] _message = [];
    private LineBuffer _lines = null!;
    private StdioWriter _writer = null!;

    /// <inheritdoc/>
    public override void SetUp()
    {
        _message = SampleMessage.Request(Size);
        _line = [.. _message, (byte)'\n'];
        _lines = new(int.MaxValue);
        _writer = new(Stream.Null, isBlocking: true);
    }

    [Benchmark]
    public long Read()
    {
        ReadOnlySpan<byte> rest = _line;
        var length = 0;
        while (!rest.IsEmpty)
        {
            var room = _lines.Free().Span;
            var count = Math.Min(Math.Min(room.Length, rest.Length), PipeSize);
            rest[..count].CopyTo(room);
            rest = rest[count..];
            _lines.Filled(count);
            while (_lines.TryTake(out var line, out _))
            {
                length = line.Length;
            }
        }

        return length;
    }

    [Benchmark]
    public Task Write() => _writer.WriteAsync(_message, CancellationToken.None).AsTask();
}
