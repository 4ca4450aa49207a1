using System.Security.Claims;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore.Tests.Sessions;

/// <summary>Believes what the header <c>X-User</c> says.</summary>
internal sealed class HeaderGate : IRequestGate
{
    public ValueTask<bool> AdmitAsync(HttpContext context)
    {
        if (context.Request.Headers["X-User"] is [{ Length: > 0 } user])
        {
            context.User = new(new ClaimsIdentity([new("sub", user)], "test"));
        }

        return ValueTask.FromResult(true);
    }
}
