using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.Samples;

/// <summary>One of the samples, built along with the tests.</summary>
internal sealed class Sample(string name, params string[] arguments) : RunningProgram(FileOf(name), arguments, environment: null)
{
    public static string FileOf(string name) => Dotnet.Program(name);

    /// <summary>Where a web application says that it listens.</summary>
    public async Task<Uri> ListeningAsync()
    {
        const string Announcement = "Now listening on: ";
        var line = await Output.FirstAsync($"\"{Announcement}\"", line => line.Contains(Announcement, StringComparison.Ordinal));
        return new(line[(line.IndexOf(Announcement, StringComparison.Ordinal) + Announcement.Length)..]);
    }
}
