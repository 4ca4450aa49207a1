using System.ComponentModel;
using ModelContextProtocol;
using ModelContextProtocol.Protocol;
using ModelContextProtocol.Server;

namespace McpProxy.TestServer.Tools;

/// <summary>Tools that only answer, and the one that waits to be cancelled.</summary>
[McpServerToolType]
internal sealed class CallTools(Rendezvous rendezvous)
{
    [McpServerTool(Name = "echo")]
    [Description("Gives the text back.")]
    public static string Echo(string text) => text;

    [McpServerTool(Name = "big")]
    [Description("Gives text of a size back: the letters of the alphabet over and over.")]
    public static string Big(int size) => string.Create(size, 0, static (text, _) =>
    {
        for (var i = 0; i < text.Length; i++)
        {
            text[i] = (char)('a' + (i % 26));
        }
    });

    [McpServerTool(Name = "unicode")]
    [Description("Gives text that is easily broken on its way back.")]
    public static string Unicode() => "é 漢字 😀 👨‍👩‍👧 \u2028 \u2029 \ufeff \u0001 \u007f \" \\ / \b \f \n \r\n \t </script> &amp; \u00a0.";

    [McpServerTool(Name = "structured", UseStructuredContent = true)]
    [Description("Gives the text back, and how long it is, as data.")]
    public static Measured Structured(string text) => new(text, text.Length);

    [McpServerTool(Name = "own_meta")]
    [Description("Gives back what the call's _meta has under \"x\".")]
    public static string OwnMeta(RequestContext<CallToolRequestParams> context) => context.Params!.Meta?["x"]?.ToJsonString() ?? "nothing";

    [McpServerTool(Name = "fail")]
    [Description("Fails as a tool does: with a result that says so.")]
    public static string Fail() => throw new McpException("deliberate");

    [McpServerTool(Name = "protocol_error")]
    [Description("Fails with a JSON-RPC error.")]
    public static string ProtocolError() => throw new McpProtocolException("deliberate, as JSON-RPC", (McpErrorCode)(-32050));

    [McpServerTool(Name = "hang_up")]
    [Description("Ends the response without an answer, which is for the client to come back for (a resumable server's only).")]
    public static async Task<string> HangUpAsync(RequestContext<CallToolRequestParams> context, CancellationToken cancellationToken)
    {
        await context.EnablePollingAsync(TimeSpan.FromMilliseconds(10), cancellationToken);
        return "worth coming back for";
    }

    [McpServerTool(Name = "wait")]
    [Description("Waits until it is cancelled.")]
    public async Task<string> WaitAsync(string key, CancellationToken cancellationToken)
    {
        rendezvous.Arrive(Rendezvous.Started(key));
        try
        {
            await Task.Delay(Timeout.Infinite, cancellationToken);
            return "never";
        }
        finally
        {
            rendezvous.Arrive(Rendezvous.Cancelled(key));
        }
    }

    [McpServerTool(Name = "pause")]
    [Description("Answers after a while.")]
    public static async Task<string> PauseAsync(int milliseconds, CancellationToken cancellationToken)
    {
        await Task.Delay(milliseconds, cancellationToken);
        return "rested";
    }

    [McpServerTool(Name = "has_started")]
    [Description("Whether the wait of this key is under way; gives it some seconds.")]
    public Task<bool> HasStartedAsync(string key, CancellationToken cancellationToken) => rendezvous.MeetAsync(Rendezvous.Started(key), cancellationToken);

    [McpServerTool(Name = "was_cancelled")]
    [Description("Whether the wait (or the listen stream) of this key was cancelled; gives it some seconds.")]
    public Task<bool> WasCancelledAsync(string key, CancellationToken cancellationToken) => rendezvous.MeetAsync(Rendezvous.Cancelled(key), cancellationToken);
}
