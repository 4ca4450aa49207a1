namespace McpProxy.Transports.Http;

/// <summary>What a request carries.</summary>
internal interface IRequestCredential
{
    /// <summary>Adds it to a request whose method and URL are set.</summary>
    void Apply(HttpRequestMessage request);

    /// <summary>Learns from the response what the next request needs.</summary>
    void Observe(HttpResponseMessage response);
}
