using System.Diagnostics;
using System.Runtime.InteropServices;
using McpProxy.Auth.Keychain;

namespace McpProxy.Tests.Auth.Keychain;

/// <summary>The keychain that a process with environment variables of its own finds.</summary>
internal sealed class RemoteKeychain : IKeychain, IDisposable
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(90);

    private readonly Process _worker;

    public RemoteKeychain(IReadOnlyDictionary<string, string?> variables)
    {
        // The program that hosts this runtime, wherever it is installed.
        var host = Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", "dotnet");
        var start = new ProcessStartInfo(host, ["exec", typeof(RemoteKeychain).Assembly.Location])
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        foreach (var (name, value) in variables)
        {
            start.Environment[name] = value;
        }

        start.Environment[KeychainWorker.Variable] = "1";
        _worker = Process.Start(start)!;
        _worker.StandardInput.AutoFlush = true;
    }

    /// <summary>The name of the keychain, empty where none was found.</summary>
    public string Name => Ask("name");

    public byte[]? Read(string account) => Ask($"read {account}") is { Length: > 0 } text ? Convert.FromBase64String(text) : null;

    public void Write(string account, ReadOnlySpan<byte> secret) => Ask($"write {account} {Convert.ToBase64String(secret)}");

    public void Delete(string account) => Ask($"delete {account}");

    public void Dispose()
    {
        _worker.Kill();
        _worker.WaitForExit();
        _worker.Dispose();
    }

    private string Ask(string question)
    {
        using var guard = new Timer(_ => _worker.Kill(), null, s_timeout, Timeout.InfiniteTimeSpan);
        _worker.StandardInput.WriteLine(question);
        var answer = _worker.StandardOutput.ReadLine() ?? throw new InvalidOperationException("the worker has ended");
        var text = answer[(answer.IndexOf(' ', StringComparison.Ordinal) + 1)..];
        return answer.StartsWith("ok ", StringComparison.Ordinal) ? text : throw new KeychainException(text);
    }
}
