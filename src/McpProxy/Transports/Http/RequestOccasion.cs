namespace McpProxy.Transports.Http;

/// <summary>Why a request is made.</summary>
internal enum RequestOccasion
{
    /// <summary>By the proxy itself, such as a reconnection: the user must not be bothered.</summary>
    Background,

    /// <summary>The client introduces itself, and gives up soon when it is not answered.</summary>
    Introduction,

    /// <summary>By the client, perhaps without its user's knowledge.</summary>
    Routine,

    /// <summary>By the client, because its user or model wants something now.</summary>
    UserAction,
}
