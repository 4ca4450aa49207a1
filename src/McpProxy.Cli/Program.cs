using System.CommandLine;
using McpProxy.Cli.CommandLine;
using McpProxy.Cli.Demo;
using McpProxy.Cli.Logging;
using McpProxy.Cli.Memory;
using McpProxy.Cli.SignIn;
using McpProxy.Eras;
using McpProxy.Telemetry.Otlp;
using McpProxy.Transports;
using McpProxy.Transports.Http;
using McpProxy.Transports.Polling;
using McpProxy.Transports.Stdio;
using Microsoft.Extensions.Logging;

namespace McpProxy.Cli;

internal static partial class Program
{
    private static readonly TimeSpan s_quiet = TimeSpan.FromSeconds(0.5);

    public static async Task<int> Main(string[] args)
    {
        RootStore.LeaveUnread();
        try
        {
            return await RunAsync(args);
        }
        catch (UsageException e)
        {
            await Console.Error.WriteLineAsync($"mcp-proxy: {e.Message}");
            return ExitCode.Usage;
        }
    }

    private static async Task<int> RunAsync(string[] args)
    {
        var command = new ProxyCommand();

        // Words that System.CommandLine reads whole: subcommands, and the directive that shells complete with.
        if (args is [['[', ..], ..] or ["completion", ..])
        {
            var parsed = Parse(command, args);
            return parsed.CommandResult.Command == command.Completion && parsed.Errors.Count == 0 ? PrintCompletion(parsed.GetValue(command.CompletionShell)!) : await parsed.InvokeAsync();
        }

        if (args is ["demo", ..])
        {
            return await RunDemoAsync(command, args);
        }

        var line = NormalizedCommandLine.Of(args);
        var options = Parse(command, line.Options);
        if (options.Errors.Count > 0)
        {
            throw new UsageException($"{options.Errors[0].Message.ReplaceLineEndings(" ").Replace("\t", "", StringComparison.Ordinal)}; see --help");
        }

        if (line.Options.Contains("--help") || line.Options.Contains("--version"))
        {
            return await options.InvokeAsync();
        }

        CommandLineEraser.Erase(command.Secrets(options));
        if (line.Verb is "status" or "reset")
        {
            var (store, log) = command.StoreSettings(options);
            using var storeLoggers = new StderrLoggerProvider(log, TimeProvider.System);
            return line.Verb == "status" ? StoredSignIns.Show(store, storeLoggers, TimeProvider.System) : StoredSignIns.Reset(store, storeLoggers);
        }

        var settings = command.Settings(line, options, Environment.GetEnvironmentVariable);
        using var loggers = new StderrLoggerProvider(settings.Log, TimeProvider.System);
        using var signals = new StopSignals(isServer: settings.Port is not null);
        if (settings.Hint is { } hint)
        {
            LogHint(loggers.CreateLogger("usage"), hint);
        }

        if (settings.Http is { } http)
        {
            return await RunHttpUpstreamAsync(line.Verb, http, settings, loggers, signals);
        }

        using var loops = LoopsFor(settings);
        return await ServeAsync(new StdioUpstream(settings.Stdio!, TimeProvider.System, loggers) { Loops = loops }, settings, loop: null, loops, loggers, signals);
    }

    private static async Task<int> RunHttpUpstreamAsync(string? verb, HttpUpstreamOptions http, ProxySettings settings, StderrLoggerProvider loggers, StopSignals signals)
    {
        if (http.Network.Insecure)
        {
            LogInsecure(loggers.CreateLogger("usage"));
        }

        if (settings.Port is null)
        {
            RuntimeTuning.ForOneClient();
        }

        // The client's messages and the server's on one thread: handing them from one to another would cost more than the messages.
        using var loop = settings.Port is null && verb is null && OperatingSystem.IsLinux() ? new EventLoop("relay") : null;

        HttpUpstream upstream;
        try
        {
            upstream = new HttpUpstream(http, TimeProvider.System, loggers, loop);
        }
        catch (ArgumentException e)
        {
            throw new UsageException(e.Message.Split(" (Parameter", 2)[0]);
        }

        await using (upstream)
        {
            return verb switch
            {
                "login" => await SignInCommand.LoginAsync(upstream, http, signals.Stop),
                "logout" => await SignInCommand.LogoutAsync(upstream, signals.Stop),
                _ => await ServeOnLoopsAsync(upstream, settings, loop, loggers, signals),
            };
        }
    }

    private static async Task<int> ServeOnLoopsAsync(IUpstream upstream, ProxySettings settings, EventLoop? loop, StderrLoggerProvider loggers, StopSignals signals)
    {
        using var loops = LoopsFor(settings);
        return await ServeAsync(upstream, settings, loop, loops, loggers, signals);
    }

    /// <summary>Where many are served, and the system has what it takes.</summary>
    private static EventLoops? LoopsFor(ProxySettings settings) => settings.Port is not null && OperatingSystem.IsLinux() ? new() : null;

    private static async Task<int> ServeAsync(IUpstream upstream, ProxySettings settings, EventLoop? loop, EventLoops? loops, StderrLoggerProvider loggers, StopSignals signals)
    {
        if (settings.Port is null && !Console.IsInputRedirected)
        {
            LogTerminal(loggers.CreateLogger("usage"));
        }

        var connections = new ConnectionMemory();
        var memory = new ProcessMemory(connections, loggers.CreateLogger("memory"));
        using var trim = new QuietTrim(s_quiet, memory.GiveBack, TimeProvider.System);
        settings.Relay.Activity = trim;

        // The start leaves something to give back, too.
        trim.Happened();
        await using var telemetry = OtlpExporter.Start(Environment.GetEnvironmentVariable, TimeProvider.System, loggers);
        if (settings.Port is not null)
        {
            return await HttpHost.RunAsync(upstream, settings, connections, loops, loggers, signals);
        }

        await using var bridge = settings.Bridge is null ? null : new EraBridge(upstream, settings.Bridge, TimeProvider.System, loggers);
        return await StdioHost.RunAsync(bridge ?? upstream, settings, loop, loggers, signals.Stop);
    }

    private static async Task<int> RunDemoAsync(ProxyCommand command, string[] args)
    {
        var parsed = Parse(command, args);
        if (parsed.Errors.Count > 0 || args.Any(arg => arg is "--help" or "-h"))
        {
            return await parsed.InvokeAsync() == 0 ? ExitCode.Success : ExitCode.Usage;
        }

        using var signals = new StopSignals(isServer: !parsed.GetValue(command.DemoStdio));
        return parsed.GetValue(command.DemoStdio)
            ? await DemoRun.ServeStdioAsync(signals.Stop)
            : await DemoRun.ShowAsync(parsed.GetValue(command.DemoPort), parsed.GetValue(command.DemoExit), signals.Stop);
    }

    private static ParseResult Parse(ProxyCommand command, IReadOnlyList<string> words) =>
        command.Root.Parse(words, new ParserConfiguration { EnablePosixBundling = false, ResponseFileTokenReplacer = null });

    private static int PrintCompletion(string shell)
    {
        Console.Out.WriteLine(CompletionScript.For(shell));
        return ExitCode.Success;
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Hint}")]
    private static partial void LogHint(ILogger logger, string hint);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Certificates are not checked (--insecure): anyone on the way can read and change everything, tokens too")]
    private static partial void LogInsecure(ILogger logger);

    [LoggerMessage(Level = LogLevel.Information, Message = "Serving MCP on standard input and output, as a client would start it; add --port 8080 to serve HTTP")]
    private static partial void LogTerminal(ILogger logger);
}
