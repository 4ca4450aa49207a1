using System.Runtime.Versioning;

namespace McpProxy.Transports.Polling;

/// <summary>
/// The loops of a process that serves many. One does the work of several threads that hand it on to each other, so there is one for every few processors.
/// </summary>
[SupportedOSPlatform("linux")]
internal sealed class EventLoops : IDisposable
{
    private const int ProcessorsPerLoop = 4;

    private readonly EventLoop[] _loops;
    private uint _last;

    /// <summary>Starts them.</summary>
    /// <exception cref="IOException">The system has no more descriptors.</exception>
    public EventLoops()
    {
        _loops = new EventLoop[Math.Max(1, Environment.ProcessorCount / ProcessorsPerLoop)];
        for (var i = 0; i < _loops.Length; i++)
        {
            _loops[i] = new($"loop {i + 1}");
        }
    }

    /// <summary>The loop for something new.</summary>
    public EventLoop Next() => _loops[Interlocked.Increment(ref _last) % (uint)_loops.Length];

    /// <summary>Ends them; what is on them comes first.</summary>
    public void Dispose()
    {
        foreach (var loop in _loops)
        {
            loop.Dispose();
        }
    }
}
