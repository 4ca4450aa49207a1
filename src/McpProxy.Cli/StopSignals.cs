using System.Runtime.InteropServices;

namespace McpProxy.Cli;

/// <summary>
/// Turns the signals that ask a program to end into an orderly end: leaving at once would leave children behind.
/// </summary>
internal sealed class StopSignals : IDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly List<PosixSignalRegistration> _registrations;

    /// <param name="isServer">Whether a hang-up is no reason to end: a server outlives the terminal that it was started from.</param>
    public StopSignals(bool isServer)
    {
        _registrations =
        [
            PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal),
            PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal),
            PosixSignalRegistration.Create(PosixSignal.SIGQUIT, OnSignal),
            PosixSignalRegistration.Create(PosixSignal.SIGHUP, isServer ? static context => context.Cancel = true : OnSignal),
        ];
    }

    public CancellationToken Stop => _stop.Token;

    public void Dispose()
    {
        _registrations.ForEach(registration => registration.Dispose());
        _stop.Dispose();
    }

    private void OnSignal(PosixSignalContext context)
    {
        // A second signal hastens nothing: the graces are short.
        context.Cancel = true;
        _stop.Cancel();
    }
}
