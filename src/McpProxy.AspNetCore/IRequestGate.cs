using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore;

/// <summary>
/// Decides whether a request may come in: who the client is, whether it asks for too much. Asked once <c>Host</c>, <c>Origin</c> and the
/// question that a browser asks beforehand (CORS) were dealt with, and before anything of the request's body is read.
/// </summary>
public interface IRequestGate
{
    /// <summary>Lets a request in, or answers it.</summary>
    /// <param name="context">The request. A gate that knows the client says so in <see cref="HttpContext.User"/>: sessions belong to who opened them.</param>
    /// <returns>True when the request may come in, false when it was answered here.</returns>
    ValueTask<bool> AdmitAsync(HttpContext context);
}
