namespace McpProxy.AspNetCore.Hosting;

/// <summary>What an application's endpoints have in common.</summary>
internal sealed record EndpointDefaults(Action<McpEndpointOptions> Configure);
