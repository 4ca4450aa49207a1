using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;
using ModelContextProtocol;
using ModelContextProtocol.Protocol;

namespace McpProxy.EndToEnd.Tests.Matrix;

/// <summary>What a client learns about the server.</summary>
public sealed class IntroductionTests(ITestOutputHelper output, Cells cells) : MatrixTest(output, cells)
{
    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Server_introduces_itself(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);

        client.Sdk.ServerInfo.ShouldNotBeNull().Name.ShouldBe("mcp-test-server");
        client.Sdk.ServerInfo.Version.ShouldBe("1.2.3");
        client.Sdk.ServerInstructions.ShouldBe("A peer for tests. Ünïcode ✓");
        client.Sdk.NegotiatedProtocolVersion.ShouldBe(TestClient.VersionOf(era));
        client.Sdk.ServerCapabilities.Tools.ShouldNotBeNull().ListChanged.ShouldBe(true);
        client.Sdk.ServerCapabilities.Resources.ShouldNotBeNull().Subscribe.ShouldBe(true);
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Tools_are_listed(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);

        var tools = await client.Sdk.ListToolsAsync().Within("tools/list");

        var echo = tools.Single(tool => tool.Name == "echo");
        echo.Description.ShouldBe("Gives the text back.");
        echo.JsonSchema.GetProperty("properties").GetProperty("text").GetProperty("type").GetString().ShouldBe("string");
        tools.Select(tool => tool.Name).ShouldContain("interview");
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Resources_are_listed_and_read(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);

        (await client.Sdk.ListResourcesAsync().Within("resources/list")).Select(resource => resource.Uri).ShouldBe(["test://fixed"]);
        (await client.Sdk.ListResourceTemplatesAsync().Within("resources/templates/list")).Select(template => template.UriTemplate).ShouldBe(["test://item/{id}"]);
        (await ReadAsync("test://fixed")).ShouldBe("the fixed resource");
        (await ReadAsync("test://item/42")).ShouldBe("item 42");

        async Task<string> ReadAsync(string uri) =>
            (await client.Sdk.ReadResourceAsync(uri).Within("resources/read")).Contents.OfType<TextResourceContents>().Single().Text;
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Missing_resource_is_the_servers_own_error(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);

        var error = await Should.ThrowAsync<McpProtocolException>(() => client.Sdk.ReadResourceAsync("test://missing").Within("resources/read"));

        error.ErrorCode.ShouldBe(era == Era.Legacy && server == Era.Legacy ? McpErrorCode.ResourceNotFound : McpErrorCode.InvalidParams);
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Prompts_are_listed_and_rendered(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);

        (await client.Sdk.ListPromptsAsync().Within("prompts/list")).Select(prompt => prompt.Name).ShouldBe(["greeting"]);
        var prompt = await client.Sdk.GetPromptAsync("greeting", new Dictionary<string, object?>(StringComparer.Ordinal) { ["name"] = "Ada" }).Within("prompts/get");

        prompt.Messages.Single().Content.ShouldBeOfType<TextContentBlock>().Text.ShouldBe("Say hello to Ada.");
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Arguments_are_completed(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);

        var result = await client.Sdk.CompleteAsync(new PromptReference { Name = "greeting" }, "name", "Ad").Within("completion/complete");

        result.Completion.Values.ShouldBe(["Ada", "Adele"]);
    }
}
