namespace McpProxy.AspNetCore.Operations;

/// <summary>What the process costs, under the names that every Prometheus client library uses.</summary>
internal static class ProcessMetrics
{
    private const string OpenFiles = "/proc/self/fd";

    public static void Write(PrometheusText text, DateTimeOffset started)
    {
        text.Family("process_resident_memory_bytes", "gauge", "Memory in use");
        text.Sample("process_resident_memory_bytes", [], Environment.WorkingSet);
        text.Family("process_cpu_seconds_total", "counter", "Processor time used");
        text.Sample("process_cpu_seconds_total", [], Environment.CpuUsage.TotalTime.TotalSeconds);
        text.Family("process_start_time_seconds", "gauge", "When the process began to serve, in seconds since 1970");
        text.Sample("process_start_time_seconds", [], started.ToUnixTimeMilliseconds() / 1000.0);
        if (Directory.Exists(OpenFiles))
        {
            text.Family("process_open_fds", "gauge", "Files, sockets and pipes that are open");
            text.Sample("process_open_fds", [], Directory.GetFileSystemEntries(OpenFiles).Length);
        }

        text.Family("mcp_proxy_build_info", "gauge", "The version that runs");
        text.Sample("mcp_proxy_build_info", [new("version", typeof(ProcessMetrics).Assembly.GetName().Version?.ToString(3) ?? "")], 1);
    }
}
