using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace McpProxy.Cli.CommandLine;

/// <summary>The help that the options make, and what they do not tell: examples, the environment, exit codes.</summary>
internal sealed class HelpWithExamples(HelpAction help) : SynchronousCommandLineAction
{
    private const string Rest = """
        Examples:
          mcp-proxy https://example.com/mcp
              A remote server for a client that speaks stdio; signs in through the browser when the server asks for it
          mcp-proxy login https://example.com/mcp
              Sign in beforehand; with --device-code on a machine without a browser
          mcp-proxy --header "Authorization: Bearer ${TOKEN}" https://example.com/mcp
              The same, with a token from the environment
          mcp-proxy --port 8080 -- npx -y @modelcontextprotocol/server-everything
              A local server over HTTP: http://127.0.0.1:8080/mcp and http://127.0.0.1:8080/sse
          mcp-proxy --port 8080 --host 0.0.0.0 --api-key-file keys.txt --tls-cert server.pem -- uvx mcp-server-fetch
              The same for other machines: over HTTPS, for clients that have a key
          mcp-proxy --port 8080 https://example.com/sse
              A remote server over another HTTP transport
          mcp-proxy -- uvx mcp-server-fetch
              A local server over stdio
          mcp-proxy demo
              See it work

        Environment:
          SSE_URL            The URL, when neither a URL nor a command is given
          MCP_PROXY_CLIENT_SECRET
                             The secret that goes with --client-id
          MCP_PROXY_API_KEY  The same as --api-key
          MCP_REMOTE_CONFIG_DIR
                             The folder of the stored sign-ins, in place of ~/.mcp-auth
          HTTPS_PROXY, HTTP_PROXY, NO_PROXY
                             The proxies on the way to servers
          NODE_EXTRA_CA_CERTS
                             The same as --ca-file
          API_ACCESS_TOKEN   Sent as Authorization: Bearer, when no such header is given

        Exit codes:
          0  success    1  the server could not be started or reached    2  the command line is wrong
          Otherwise the code of the command, when its exit ended the program (128 + N: ended by signal N)

        """;

    public override int Invoke(ParseResult parseResult)
    {
        var result = help.Invoke(parseResult);
        if (parseResult.CommandResult.Command is RootCommand)
        {
            parseResult.InvocationConfiguration.Output.WriteLine(Rest);
        }

        return result;
    }
}
