using McpProxy.AspNetCore.Responses;
using McpProxy.AspNetCore.Sessions;
using Microsoft.AspNetCore.Http;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Sessions;

public sealed class RequestStreamTests
{
    [Fact]
    public async Task Who_comes_to_a_stream_that_was_closed_meanwhile_does_not_wait_for_ever()
    {
        var stream = new RequestStream(0, [], new(10, 1000, new(1000)));
        await using var response = new EventStream(new DefaultHttpContext(), TimeProvider.System, continuesInline: false);
        await response.StartEventsAsync();

        stream.Close();
        await stream.AttachAsync(response);

        response.Completed.IsCompleted.ShouldBeTrue();
    }
}
