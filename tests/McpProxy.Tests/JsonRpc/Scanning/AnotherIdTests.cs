using System.Text;
using FsCheck;
using FsCheck.Fluent;
using McpProxy.JsonRpc;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.JsonRpc.Scanning;

public sealed class AnotherIdTests
{
    [Fact]
    public void Another_id_changes_nothing_else() =>
        Prop.ForAll<DoNotSize<int>, int>((seed, number) =>
        {
            if (!JsonRpcMessage.TryParse(Encoding.UTF8.GetBytes(new RandomJson(seed.Item).Message()), out var message, out _))
            {
                return;
            }

            foreach (var id in (JsonRpcId[])[JsonRpcId.FromNumber(number), JsonRpcId.FromJson(Encoding.UTF8.GetBytes($"\"id-{number}\"")), JsonRpcId.FromJson("-0"u8.ToArray())])
            {
                var changed = JsonSplice.WithId(message, id);
                changed.Id.ShouldBe(id);
                AreSame(changed, JsonSplice.Reparse(changed.Utf8)).ShouldBeTrue(Encoding.UTF8.GetString(changed.Utf8.Span));
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(5000));

    private static bool AreSame(in JsonRpcMessage left, in JsonRpcMessage right) =>
        left.Kind == right.Kind && left.Id.Kind == right.Id.Kind && left.Id.Utf8Text.Span.SequenceEqual(right.Id.Utf8Text.Span)
        && left.IdRange.Equals(right.IdRange) && left.IsError == right.IsError && left.Method.SequenceEqual(right.Method)
        && left.ParamsRange.Equals(right.ParamsRange) && left.ResultRange.Equals(right.ResultRange);
}
