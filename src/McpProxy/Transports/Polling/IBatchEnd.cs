namespace McpProxy.Transports.Polling;

/// <summary>What is to be done once for a whole batch of events, such as one write for all messages that they brought.</summary>
internal interface IBatchEnd
{
    /// <summary>All events of the batch were handled. Called on the loop's thread; it must not throw.</summary>
    void OnBatchEnd();
}
