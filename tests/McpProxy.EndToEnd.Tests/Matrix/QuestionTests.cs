using McpProxy.EndToEnd.Tests.Clients;

namespace McpProxy.EndToEnd.Tests.Matrix;

/// <summary>
/// Questions that the server has for the client: requests of its own in the legacy era; in the modern one calls that are
/// answered "input required", which the SDK's client makes again with the answers.
/// </summary>
public sealed class QuestionTests(ITestOutputHelper output, Cells cells) : MatrixTest(output, cells)
{
    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Sampling_is_answered(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);

        (await client.TextAsync("sample", new { prompt = "write" })).ShouldBe($"{TestClient.ModelName}: re: write");
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Elicitation_is_answered(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);

        (await client.TextAsync("elicit")).ShouldBe(TestClient.UserName);
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task User_is_sent_to_a_page(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);

        (await client.TextAsync("elicit_url")).ShouldBe("accept");
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Roots_are_told(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);

        (await client.TextAsync("roots")).ShouldBe(string.Join(' ', TestClient.RootUris));
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Several_questions_and_rounds_are_answered(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);

        (await client.TextAsync("interview")).ShouldBe($"{TestClient.UserName}|{TestClient.ModelName}: re: what|{string.Join(' ', TestClient.RootUris)}|{TestClient.UserName}");
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Questions_at_once_get_each_its_own_answer(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);

        var prompts = Enumerable.Range(0, 20).Select(i => $"prompt {i}").ToList();
        var answers = await Task.WhenAll(prompts.Select(prompt => client.TextAsync("sample", new { prompt })));

        answers.ShouldBe(prompts.Select(prompt => $"{TestClient.ModelName}: re: {prompt}"));
    }
}
