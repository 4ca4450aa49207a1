using McpProxy.EndToEnd.Tests.Clients;

namespace McpProxy.EndToEnd.Tests.Eras;

/// <summary>
/// Questions of the server: requests of its own in one era, answers that require input in the other.
/// </summary>
public sealed class BridgedQuestionTests(ITestOutputHelper output, BridgedCells cells) : BridgedTest(output, cells), IClassFixture<BridgedCells>
{
    [Theory]
    [MemberData(nameof(BridgedCells.All), MemberType = typeof(BridgedCells))]
    public async Task Sampling_elicitation_and_roots_are_answered(Transport downstream, Transport upstream, Era era)
    {
        var client = await OpenAsync(downstream, upstream, era);

        (await client.TextAsync("sample", new { prompt = "write" })).ShouldBe($"{TestClient.ModelName}: re: write");
        (await client.TextAsync("elicit")).ShouldBe(TestClient.UserName);
        (await client.TextAsync("roots")).ShouldBe(string.Join(' ', TestClient.RootUris));
    }

    [Theory]
    [MemberData(nameof(BridgedCells.All), MemberType = typeof(BridgedCells))]
    public async Task Several_questions_and_rounds_are_answered(Transport downstream, Transport upstream, Era era)
    {
        var client = await OpenAsync(downstream, upstream, era);

        (await client.TextAsync("interview")).ShouldBe($"{TestClient.UserName}|{TestClient.ModelName}: re: what|{string.Join(' ', TestClient.RootUris)}|{TestClient.UserName}");
    }

    [Theory]
    [MemberData(nameof(BridgedCells.All), MemberType = typeof(BridgedCells))]
    public async Task Questions_at_once_get_each_its_own_answer(Transport downstream, Transport upstream, Era era)
    {
        var client = await OpenAsync(downstream, upstream, era);

        var prompts = Enumerable.Range(0, 20).Select(i => $"prompt {i}").ToList();
        var answers = await Task.WhenAll(prompts.Select(prompt => client.TextAsync("sample", new { prompt })));

        answers.ShouldBe(prompts.Select(prompt => $"{TestClient.ModelName}: re: {prompt}"));
    }
}
