using System.Net;

namespace McpProxy.Auth.SignIn;

/// <summary>Where the browser comes back to.</summary>
/// <param name="Host">The host in the redirect URI.</param>
/// <param name="Port">The port.</param>
/// <param name="Path">The path.</param>
internal sealed record RedirectAddress(string Host, int Port, string Path)
{
    /// <summary>The path when nothing says otherwise; the same as that of other programs of this kind.</summary>
    public const string DefaultPath = "/oauth/callback";

    // Below the ports that systems give to any program which asks for one.
    private const int FirstPort = 3335;
    private const int Ports = 32768 - FirstPort;

    private static readonly int[] s_blockedPorts =
    [
        0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137,
        139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049,
        3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
    ];

    /// <summary>Whether browsers open a port; some they do not, whatever listens there (Fetch, "Port blocking").</summary>
    public static bool IsForBrowsers(int port) => !s_blockedPorts.Contains(port);

    /// <summary>The port that is always the same for a server, and one that browsers open.</summary>
    /// <param name="number">What the server is told from others by.</param>
    public static int PortFor(uint number)
    {
        var port = (int)(FirstPort + (number % Ports));
        while (!IsForBrowsers(port))
        {
            port++;
        }

        return port;
    }

    /// <summary>The redirect URI.</summary>
    public string Uri => $"http://{(IsWildcard ? "localhost" : Host)}:{Port}{Path}";

    /// <summary>
    /// The addresses to listen on: those of this machine alone, so that a name which means either finds us; another one only
    /// when it is named, as in a container whose port is published.
    /// </summary>
    public IPAddress[] ListenAddresses =>
        IPAddress.TryParse(Host.Trim('[', ']'), out var address) && !IPAddress.IsLoopback(address) ? [address] : [IPAddress.Loopback, IPAddress.IPv6Loopback];

    private bool IsWildcard => IPAddress.TryParse(Host.Trim('[', ']'), out var address) && (address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any));

    /// <summary>Takes a redirect URI apart; null when it is none that this program can listen on.</summary>
    public static RedirectAddress? TryParse(string uri) =>
        System.Uri.TryCreate(uri, UriKind.Absolute, out var parsed) && parsed.Scheme == "http" && parsed.Port > 0 && uri.Contains($":{parsed.Port}", StringComparison.Ordinal)
            ? new(parsed.Host, parsed.Port, parsed.AbsolutePath)
            : null;

    /// <summary>Whether a <c>Host</c> header means this listener.</summary>
    public bool IsHost(string host)
    {
        var colon = host.LastIndexOf(':');
        var name = colon > host.LastIndexOf(']') ? host[..colon] : host;
        return name is "127.0.0.1" or "[::1]" || string.Equals(name, "localhost", StringComparison.OrdinalIgnoreCase)
            || string.Equals(name, Host, StringComparison.OrdinalIgnoreCase);
    }
}
