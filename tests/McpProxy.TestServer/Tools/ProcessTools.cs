using System.ComponentModel;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using ModelContextProtocol;
using ModelContextProtocol.Protocol;
using ModelContextProtocol.Server;

namespace McpProxy.TestServer.Tools;

/// <summary>Tools that tell about the process, and end it.</summary>
[McpServerToolType]
internal sealed class ProcessTools(IServiceProvider services)
{
    [McpServerTool(Name = "process_id")]
    [Description("The id of this process.")]
    public static int ProcessId() => Environment.ProcessId;

    [McpServerTool(Name = "working_directory")]
    [Description("Where this process runs.")]
    public static string WorkingDirectory() => Environment.CurrentDirectory;

    [McpServerTool(Name = "environment")]
    [Description("A variable of this process's environment.")]
    public static string Variable(string name) => Environment.GetEnvironmentVariable(name) is { } value ? $"={value}" : "unset";

    [McpServerTool(Name = "exit")]
    [Description("Ends this process without an answer.")]
    public static string Exit(int code)
    {
        Console.Error.WriteLine($"leaving with {code}");
        Environment.Exit(code);
        return "never";
    }

    [McpServerTool(Name = "ask_port")]
    [Description("Connects to a port of this machine and gives back what it says: whoever listens there decides when the call ends.")]
    public static async Task<string> AskPortAsync(RequestContext<CallToolRequestParams> context, int port, CancellationToken cancellationToken)
    {
        if (context.Params!.ProgressToken is { } token)
        {
            await context.Server.NotifyProgressAsync(token, new ProgressNotificationValue { Progress = 1, Message = "asking" }, cancellationToken: cancellationToken);
        }

        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, port, cancellationToken);
        using var reader = new StreamReader(client.GetStream());
        return await reader.ReadToEndAsync(cancellationToken);
    }

    [McpServerTool(Name = "request_header")]
    [Description("A header of the HTTP request that carried this call.")]
    public string RequestHeader(string name) => services.GetService<IHttpContextAccessor>()?.HttpContext?.Request.Headers[name].ToString() ?? "";
}
