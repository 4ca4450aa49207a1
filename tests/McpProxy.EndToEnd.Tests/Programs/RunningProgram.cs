using System.Diagnostics;
using System.Text;

namespace McpProxy.EndToEnd.Tests.Programs;

/// <summary>A program that a test has started, with its output kept.</summary>
public class RunningProgram : IAsyncDisposable
{
    private static readonly UTF8Encoding s_utf8 = new(encoderShouldEmitUTF8Identifier: false);

    private readonly Process _process;
    private readonly Task _outputRead;
    private readonly Task _errorsRead;

    protected RunningProgram(string file, IEnumerable<string> arguments, IReadOnlyDictionary<string, string?>? environment)
    {
        Name = $"{Path.GetFileName(file)} {string.Join(' ', arguments)}";
        var start = new ProcessStartInfo(file, arguments)
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardInputEncoding = s_utf8,
            StandardOutputEncoding = s_utf8,
            StandardErrorEncoding = s_utf8,
        };
        foreach (var (name, value) in Dotnet.Environment.Concat(environment ?? new Dictionary<string, string?>(StringComparer.Ordinal)))
        {
            start.Environment[name] = value;
        }

        _process = Process.Start(start) ?? throw new InvalidOperationException($"not started: {Name}");
        _process.StandardInput.AutoFlush = true;
        _outputRead = ReadAsync(_process.StandardOutput, Output);
        _errorsRead = ReadAsync(_process.StandardError, Errors);
    }

    public string Name { get; }

    public int Id => _process.Id;

    public OutputLog Output { get; } = new();

    public OutputLog Errors { get; } = new();

    public StreamWriter Input => _process.StandardInput;

    /// <summary>Waits for the exit, and for everything that was written before it.</summary>
    /// <returns>The exit code.</returns>
    public async Task<int> ExitAsync(TimeSpan? limit = null)
    {
        await _process.WaitForExitAsync().Within($"the exit of {Name}", limit);
        await Task.WhenAll(_outputRead, _errorsRead).Within($"the end of the output of {Name}", limit);
        return _process.ExitCode;
    }

    /// <summary>Ends the program without a chance to react.</summary>
    public void Kill() => _process.Kill();

    /// <summary>Asks the program to end.</summary>
    public void Terminate() => PosixSignals.Send(Id, PosixSignals.Terminate);

    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
        }

        await _process.WaitForExitAsync().Within($"the end of {Name} after it was killed");
        _process.Dispose();
    }

    private static async Task ReadAsync(StreamReader reader, OutputLog log)
    {
        while (await reader.ReadLineAsync() is { } line)
        {
            log.Add(line);
        }

        log.End();
    }
}
