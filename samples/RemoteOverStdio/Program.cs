// Gives the client that starts this program a server that is behind a URL.
using McpProxy.Relay;
using McpProxy.Transports.Http;
using McpProxy.Transports.Stdio;

await using var server = new HttpUpstream(new() { Url = new(args[0]) });
var relay = new RelaySession(StdioConnection.OfThisProcess(), server.Connect());
var end = await relay.RunAsync(CancellationToken.None);
return end.ByUpstream ? 1 : 0;
