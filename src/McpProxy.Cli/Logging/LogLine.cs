using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.Extensions.Logging;

namespace McpProxy.Cli.Logging;

/// <summary>How a log line looks.</summary>
internal static class LogLine
{
    public static string Text(LogLevel level, string category, string message, LogFields fields) => category == ChildCategory
        ? message
        : $"mcp-proxy: {(level == LogLevel.Information ? "" : $"{Word(level)}: ")}{fields.Short}{message}";

    public static string Json(DateTimeOffset time, LogLevel level, string category, string message, LogFields fields)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            writer.WriteStartObject();
            writer.WriteString("time"u8, time.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture));
            writer.WriteString("level"u8, Word(level));
            writer.WriteString("category"u8, category);
            writer.WriteString("message"u8, message);
            foreach (var (name, value) in fields.All)
            {
                writer.WriteString(name, value);
            }

            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length);
    }

    /// <summary>What a child writes to its standard error already says whose it is.</summary>
    private static string ChildCategory => Transports.Stdio.ChildProcessConnection.ChildErrorCategory;

    private static string Word(LogLevel level) => level switch
    {
        LogLevel.Trace => "trace",
        LogLevel.Debug => "debug",
        LogLevel.Information => "info",
        LogLevel.Warning => "warning",
        LogLevel.Error => "error",
        _ => "critical",
    };
}
