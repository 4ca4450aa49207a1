namespace McpProxy.AspNetCore;

/// <summary>How sessions of the legacy era and servers that are started belong together. Requests of the modern era have no session and always share a server.</summary>
public enum SessionMode
{
    /// <summary>Each session has a server of its own, which ends with it.</summary>
    ServerPerSession,

    /// <summary>
    /// All sessions use one server, kept apart by the proxy: <c>initialize</c> is answered from the first, and what the server says goes to
    /// those whom it concerns, or to nobody when that cannot be told.
    /// </summary>
    SharedServer,

    /// <summary>There are no sessions: every request stands for itself, is served by one of a few servers, and the server can neither ask the client nor tell it anything by itself.</summary>
    Stateless,
}
