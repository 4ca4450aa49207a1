namespace McpProxy.Benchmarks.Paths;

/// <summary>One way through the whole program, inside this process, with the echo server at its end.</summary>
internal interface IMessagePath : IAsyncDisposable
{
    /// <summary>Its name in results.</summary>
    string Name { get; }

    Task OpenAsync(CancellationToken cancellationToken);

    /// <summary>Sends a call and reads its answer, blocking, and allocating nothing itself.</summary>
    void Call();
}
