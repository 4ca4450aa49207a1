using System.ComponentModel;
using ModelContextProtocol;
using ModelContextProtocol.Protocol;
using ModelContextProtocol.Server;

namespace McpProxy.TestServer.Tools;

/// <summary>
/// Tools that ask the client. With a session the SDK asks while the call waits; without one the call is answered
/// "input required", and made again with the answers.
/// </summary>
[McpServerToolType]
internal sealed class QuestionTools
{
    private const string First = "first: é \u2028 \" \\ {}";
    private const string Second = "second";

    [McpServerTool(Name = "sample")]
    [Description("Has the client's model write something.")]
    public static async Task<string> SampleAsync(RequestContext<CallToolRequestParams> context, string prompt, CancellationToken cancellationToken)
    {
        var question = Sampling(prompt);
        return TextOf(CanAsk(context)
            ? await context.Server.SampleAsync(question, cancellationToken)
            : Answer(context, "sampling", InputRequest.ForSampling(question)).Deserialize(InputResponse.CreateMessageResultJsonTypeInfo));
    }

    [McpServerTool(Name = "elicit")]
    [Description("Asks the user for a name.")]
    public static async Task<string> ElicitAsync(RequestContext<CallToolRequestParams> context, CancellationToken cancellationToken)
    {
        var question = Elicitation("Who are you?");
        return NameOf(CanAsk(context)
            ? await context.Server.ElicitAsync(question, cancellationToken)
            : Answer(context, "elicitation", InputRequest.ForElicitation(question)).Deserialize(InputResponse.ElicitResultJsonTypeInfo));
    }

    [McpServerTool(Name = "elicit_url")]
    [Description("Has the user go to a page.")]
    public static async Task<string> ElicitUrlAsync(RequestContext<CallToolRequestParams> context, CancellationToken cancellationToken)
    {
        var question = new ElicitRequestParams { Mode = "url", Message = "Go there", Url = "https://example.com/é?a=1&b=2", ElicitationId = "e1" };
        return (CanAsk(context)
            ? await context.Server.ElicitAsync(question, cancellationToken)
            : Answer(context, "elicitation", InputRequest.ForElicitation(question)).Deserialize(InputResponse.ElicitResultJsonTypeInfo))!.Action;
    }

    [McpServerTool(Name = "roots")]
    [Description("Asks for the client's roots.")]
    public static async Task<string> RootsAsync(RequestContext<CallToolRequestParams> context, CancellationToken cancellationToken) =>
        UrisOf(CanAsk(context)
            ? await context.Server.RequestRootsAsync(new(), cancellationToken)
            : Answer(context, "roots", InputRequest.ForRootsList(new())).Deserialize(InputResponse.ListRootsResultJsonTypeInfo));

    [McpServerTool(Name = "interview")]
    [Description("Asks everything at once, and then once more, without keeping anything in memory between the rounds.")]
    public static string Interview(RequestContext<CallToolRequestParams> context)
    {
        var answers = context.Params!.InputResponses;
        switch (context.Params.RequestState)
        {
            case null:
                throw new InputRequiredException(
                    new Dictionary<string, InputRequest>(StringComparer.Ordinal)
                    {
                        ["who"] = InputRequest.ForElicitation(Elicitation("Who are you?")),
                        ["what"] = InputRequest.ForSampling(Sampling("what")),
                        ["where"] = InputRequest.ForRootsList(new()),
                    },
                    First);

            case First:
                var soFar = string.Join(
                    '|',
                    NameOf(answers!["who"].Deserialize(InputResponse.ElicitResultJsonTypeInfo)),
                    TextOf(answers["what"].Deserialize(InputResponse.CreateMessageResultJsonTypeInfo)),
                    UrisOf(answers["where"].Deserialize(InputResponse.ListRootsResultJsonTypeInfo)));
                throw new InputRequiredException(
                    new Dictionary<string, InputRequest>(StringComparer.Ordinal) { ["again"] = InputRequest.ForElicitation(Elicitation(soFar)) },
                    Second + soFar);

            case { } state when state.StartsWith(Second, StringComparison.Ordinal):
                return $"{state[Second.Length..]}|{NameOf(answers!["again"].Deserialize(InputResponse.ElicitResultJsonTypeInfo))}";

            default:
                throw new McpException($"the request state came back changed: {context.Params.RequestState}");
        }
    }

    /// <summary>Whether a question can be asked while the call waits: not over HTTP without a session, where the answer would never find back.</summary>
    private static bool CanAsk(RequestContext<CallToolRequestParams> context) => context.Server.SessionId is not null || context.JsonRpcRequest.Context?.RelatedTransport is null;

    private static InputResponse Answer(RequestContext<CallToolRequestParams> context, string key, InputRequest question) =>
        context.Params!.InputResponses?.TryGetValue(key, out var answer) == true
            ? answer
            : throw new InputRequiredException(new Dictionary<string, InputRequest>(StringComparer.Ordinal) { [key] = question }, First);

    private static CreateMessageRequestParams Sampling(string prompt) => new()
    {
        MaxTokens = 10,
        Messages = [new() { Role = Role.User, Content = [new TextContentBlock { Text = prompt }] }],
    };

    private static ElicitRequestParams Elicitation(string message) => new()
    {
        Message = message,
        RequestedSchema = new() { Properties = { ["name"] = new ElicitRequestParams.StringSchema { Title = "Name" } } },
    };

    private static string TextOf(CreateMessageResult? result) => $"{result!.Model}: {result.Content.OfType<TextContentBlock>().Single().Text}";

    private static string NameOf(ElicitResult? result) => result!.IsAccepted ? result.Content!["name"].GetString()! : result.Action;

    private static string UrisOf(ListRootsResult? result) => string.Join(' ', result!.Roots.Select(root => root.Uri));
}
