namespace McpProxy.Relay;

/// <summary>Is told whenever something passes a relay. It is told of every message, on its way.</summary>
internal interface IActivity
{
    /// <summary>A message came, or a session ended.</summary>
    void Happened();
}
