using McpProxy.Auth.Discovery;

namespace McpProxy.Auth.SignIn;

/// <summary>What a sign-in is for.</summary>
/// <param name="Resource">What the server says about itself.</param>
/// <param name="Scope">The scopes to ask for; none to leave it to the authorization server.</param>
/// <param name="Refused">The access token that is of no use; null when there is none.</param>
/// <param name="WantsDpop">Whether tokens are to be bound to a key.</param>
internal sealed record SignInNeed(ProtectedResource Resource, ScopeSet Scope, string? Refused, bool WantsDpop);
