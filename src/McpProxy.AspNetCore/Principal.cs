using System.Security.Claims;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features.Authentication;

namespace McpProxy.AspNetCore;

/// <summary>Who a client is, as one text that two requests of the same client have in common and no other client has.</summary>
internal static class Principal
{
    /// <summary>The text of a request's user; null for one that nobody has authenticated.</summary>
    public static string? Of(HttpContext context) =>
        // Where nobody has set a user, asking the context for one would make an empty one.
        context.Features.Get<IHttpAuthenticationFeature>()?.User is { } user ? Of(user) : null;

    private static string? Of(ClaimsPrincipal user)
    {
        if (user.Identity is not { IsAuthenticated: true } identity)
        {
            return null;
        }

        // A subject means something only at its issuer, and a token without one still names the client it was issued to.
        var subject = user.FindFirst("sub") ?? user.FindFirst(ClaimTypes.NameIdentifier);
        var name = subject?.Value ?? user.FindFirst("client_id")?.Value ?? identity.Name ?? "";
        var issuer = user.FindFirst("iss")?.Value ?? (subject is null || subject.Issuer == ClaimsIdentity.DefaultIssuer ? "" : subject.Issuer);
        return string.Join('\n', identity.AuthenticationType, issuer, name);
    }
}
