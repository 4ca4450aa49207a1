namespace McpProxy.Transports.Http;

/// <summary>
/// How the runtime is to work in a process that serves one client on standard streams: what comes on a socket is handled where it was
/// noticed, without a detour over the thread pool, and threads of the pool that have nothing to do sleep at once instead of spinning.
/// </summary>
internal static class RuntimeTuning
{
    // The runtime reads these from the environment only.
    private static readonly string[] s_names = ["DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS", "DOTNET_ThreadPool_UnfairSemaphoreSpinLimit"];
    private static readonly string[] s_values = ["1", "0"];

    /// <summary>Sets what the user has not set; before the first socket and the first use of the pool, or it has no effect.</summary>
    public static void ForOneClient()
    {
        foreach (var (name, value) in s_names.Zip(s_values))
        {
            if (Environment.GetEnvironmentVariable(name) is null)
            {
                Environment.SetEnvironmentVariable(name, value);
            }
        }
    }

    /// <summary>Takes out of the environment of a child what is meant for this process alone.</summary>
    public static void RemoveFrom(Dictionary<string, string> environment)
    {
        foreach (var name in s_names)
        {
            environment.Remove(name);
        }
    }
}
