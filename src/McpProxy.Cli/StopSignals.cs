using System.Runtime.InteropServices;

namespace McpProxy.Cli;

/// <summary>
/// Turns the signals that ask a program to end into an orderly end: leaving at once would leave children behind.
/// </summary>
internal sealed class StopSignals : IDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly CancellationTokenSource _stopNow = new();
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

    /// <summary>Cancelled by the first signal.</summary>
    public CancellationToken Stop => _stop.Token;

    /// <summary>Cancelled by the second: who sends one does not want to wait for what is in flight.</summary>
    public CancellationToken StopNow => _stopNow.Token;

    public void Dispose()
    {
        _registrations.ForEach(registration => registration.Dispose());
        _stop.Dispose();
        _stopNow.Dispose();
    }

    private void OnSignal(PosixSignalContext context)
    {
        context.Cancel = true;
        (_stop.IsCancellationRequested ? _stopNow : _stop).Cancel();
    }
}
