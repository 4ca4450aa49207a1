using McpProxy.TestServer;

ServerArguments arguments;
try
{
    arguments = ServerArguments.Parse(args);
}
catch (Exception e) when (e is FormatException or ArgumentException or OverflowException)
{
    await Console.Error.WriteLineAsync($"mcp-test-server: {e.Message}; usage: {ServerArguments.Usage}");
    return 2;
}

await (arguments.Http ? HttpPeer.RunAsync(arguments) : StdioPeer.RunAsync(arguments));
return 0;
