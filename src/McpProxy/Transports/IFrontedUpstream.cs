namespace McpProxy.Transports;

/// <summary>
/// An upstream that puts something before its connections which speaks for the server until somebody has signed in. A stage
/// that has to know what the server itself says goes between the two.
/// </summary>
internal interface IFrontedUpstream : IUpstream
{
    /// <summary>Makes a connection with nothing before it.</summary>
    IConnection ConnectDirectly();

    /// <summary>Puts before a connection what belongs there.</summary>
    IConnection Front(IConnection connection);
}
