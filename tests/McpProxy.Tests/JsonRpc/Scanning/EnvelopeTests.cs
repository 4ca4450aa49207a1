using System.Text;
using FsCheck;
using FsCheck.Fluent;
using McpProxy.JsonRpc;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.JsonRpc.Scanning;

public sealed class EnvelopeTests
{
    /// <summary>A member whose name has an escape leaves the message to the reader, and means nothing.</summary>
    private const string Detour = "\"\\u0078\":0,";

    [Fact]
    public void Messages_mean_the_same_on_either_way() =>
        Prop.ForAll<DoNotSize<int>>(seed =>
        {
            var random = new RandomJson(seed.Item);
            var json = random.Message();
            SameOnEitherWay(Encoding.UTF8.GetBytes(json));
            for (var i = 0; i < 20; i++)
            {
                SameOnEitherWay(random.Broken(json));
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(2000));

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(1024)]
    public void Nesting_is_bounded_on_either_way(int maxDepth)
    {
        foreach (var depth in (int[])[maxDepth - 2, maxDepth - 1, maxDepth])
        {
            SameOnEitherWay(Encoding.UTF8.GetBytes($"{{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":{new string('[', depth)}{new string(']', depth)}}}"), maxDepth);
        }
    }

    private static void SameOnEitherWay(byte[] json, int maxDepth = JsonRpcMessage.MaxDepth)
    {
        if (json is not [(byte)'{', ..] || json.AsSpan(1).TrimStart(" \t\r\n"u8) is [(byte)'}', ..])
        {
            // No place for one more member.
            return;
        }

        var isMessage = JsonRpcMessage.TryParse(json, maxDepth, out var message, out var fault);
        var isMessageOnDetour = JsonRpcMessage.TryParse((byte[])[(byte)'{', .. Encoding.UTF8.GetBytes(Detour), .. json.AsSpan(1)], maxDepth, out var onDetour, out var faultOnDetour);
        var text = Encoding.UTF8.GetString(json);
        isMessage.ShouldBe(isMessageOnDetour, text);
        if (!isMessage)
        {
            fault.Code.ShouldBe(faultOnDetour.Code, text);
            fault.Id.ShouldBe(faultOnDetour.Id, text);
            fault.IsResponse.ShouldBe(faultOnDetour.IsResponse, text);
            return;
        }

        message.Kind.ShouldBe(onDetour.Kind, text);
        message.Id.ToString().ShouldBe(onDetour.Id.ToString(), text);
        message.IsError.ShouldBe(onDetour.IsError, text);
        message.Method.SequenceEqual(onDetour.Method).ShouldBeTrue(text);
        message.Params.Span.SequenceEqual(onDetour.Params.Span).ShouldBeTrue(text);
        message.Result.Span.SequenceEqual(onDetour.Result.Span).ShouldBeTrue(text);
    }
}
