namespace McpProxy.Transports.Http.Plain;

/// <summary>A POST of which all is known but the body, so that it can be sent many times at the cost of a copy.</summary>
internal sealed class PreparedRequest(PlainPool pool, ReadOnlyMemory<byte> head)
{
    /// <summary>The connections to its server.</summary>
    public PlainPool Pool => pool;

    /// <summary>The request's line and headers, but for the body's length and the empty line.</summary>
    public ReadOnlyMemory<byte> Head => head;
}
