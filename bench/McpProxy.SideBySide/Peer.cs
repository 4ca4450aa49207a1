namespace McpProxy.SideBySide;

/// <summary>A program to measure, and how it is started; a side that it does not have is null.</summary>
/// <param name="Id">Its name in results and filters.</param>
/// <param name="Title">Its name in tables.</param>
/// <param name="Connecting">The command for stdio to Streamable HTTP; empty: none, the client asks the server itself.</param>
/// <param name="Serving">The command for Streamable HTTP to stdio.</param>
internal sealed record Peer(string Id, string Title, IReadOnlyList<string>? Connecting, IReadOnlyList<string>? Serving)
{
    public const string Native = "native";
    public const string Floor = "floor";
    public const string Direct = "direct";

    /// <summary>The command for stdio to Streamable HTTP over TLS, with the certificate authority of the run.</summary>
    public IReadOnlyList<string>? Secure { get; init; }

    /// <summary>The command for many sessions, where it differs.</summary>
    public IReadOnlyList<string>? ManySessions { get; init; }

    /// <summary>Variables for its environment, as <c>NAME=VALUE</c>.</summary>
    public IReadOnlyList<string> Environment { get; init; } = [];

    /// <summary>The command for a scenario, or null.</summary>
    public IReadOnlyList<string>? CommandFor(Scenario scenario) => scenario.Side == Side.Connecting
        ? scenario.IsSecure ? Secure : Connecting
        : scenario.HasManySessions ? ManySessions ?? Serving : Serving;

    /// <summary>Whether the client talks HTTP when this peer runs a side: to the peer when it serves, to the server when there is no peer.</summary>
    public bool TalksHttp(Side side) => side == Side.Serving ? Id != Direct : Id == Direct;
}
