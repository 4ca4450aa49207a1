namespace McpProxy.Eras;

/// <summary>What a server's reaction to <c>server/discover</c> says about it.</summary>
internal enum ProbeVerdict
{
    /// <summary>It speaks the modern era: it answered, or with an error that only such a server has.</summary>
    Modern,

    /// <summary>It does not understand the question: it is of the legacy era.</summary>
    Legacy,

    /// <summary>It says nothing, which servers of the legacy era do too.</summary>
    Silent,

    /// <summary>It is gone.</summary>
    Ended,

    /// <summary>It could not be asked: somebody has to sign in first.</summary>
    Unknown,
}
