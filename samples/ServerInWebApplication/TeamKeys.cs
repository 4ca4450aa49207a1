using System.Security.Claims;
using System.Text.Encodings.Web;
using Microsoft.AspNetCore.Authentication;
using Microsoft.Extensions.Options;

namespace ServerInWebApplication;

/// <summary>Tells teams apart by the key that they send: it stands for whatever authentication an application has.</summary>
internal sealed class TeamKeys(IOptionsMonitor<TeamKeyOptions> options, ILoggerFactory loggers, UrlEncoder encoder) : AuthenticationHandler<TeamKeyOptions>(options, loggers, encoder)
{
    public new const string Scheme = "team-key";

    protected override Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        var key = Request.Headers["X-Team-Key"].ToString();
        if (!Options.Keys.TryGetValue(key, out var team))
        {
            return Task.FromResult(AuthenticateResult.NoResult());
        }

        var identity = new ClaimsIdentity([new Claim(ClaimTypes.NameIdentifier, team)], Scheme);
        return Task.FromResult(AuthenticateResult.Success(new(new(identity), Scheme)));
    }
}
