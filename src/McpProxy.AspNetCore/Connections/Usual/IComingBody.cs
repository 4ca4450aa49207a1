using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore.Connections.Usual;

/// <summary>Where a body is read from as it comes.</summary>
internal interface IComingBody
{
    /// <summary>What has come of it and was not taken yet, and whether that is the rest of it.</summary>
    /// <exception cref="BadHttpRequestException">It comes too slowly.</exception>
    /// <exception cref="ConnectionResetException">The client has gone.</exception>
    ReadOnlyMemory<byte> BodyThatCame(out bool isAll);

    /// <summary>Completes when there may be more of it, or will never be.</summary>
    Task MoreOfBodyAsync();

    /// <summary>What was read of it needs no place any more.</summary>
    /// <param name="count">How many bytes; at most all that are left.</param>
    void TakeOfBody(int count);
}
