using System.Text.Json;

namespace McpProxy.Auth.Store;

/// <summary>A sign-in that is under way, so that another process can finish it when this one dies.</summary>
internal sealed record StoredFlow
{
    public string Issuer { get; init; } = "";

    public string ClientId { get; init; } = "";

    public string? Scope { get; init; }

    public string? Resource { get; init; }

    /// <summary>The page to sign in at.</summary>
    public string Url { get; init; } = "";

    /// <summary>Whether the page has been shown to the user, so that the answer may come any time.</summary>
    public bool IsShown { get; init; }

    /// <summary>In Unix milliseconds.</summary>
    public long StartedAt { get; init; }

    public string? RedirectUri { get; init; }

    public string? State { get; init; }

    public string? Verifier { get; init; }

    public string? UserCode { get; init; }

    public string? DeviceCode { get; init; }

    public long? ExpiresAt { get; init; }

    public int Interval { get; init; }

    /// <summary>Why the sign-in ended without a success, for those who waited for it; null while it is under way.</summary>
    public string? Failure { get; init; }

    /// <summary>Checks what a file held, which somebody may have edited.</summary>
    /// <exception cref="JsonException">It is nothing that was ever written.</exception>
    public StoredFlow Checked() =>
        Issuer is not null && ClientId is not null && (Failure is not null || Uri.TryCreate(Url, UriKind.Absolute, out _)) && UnixTime.FromMilliseconds(StartedAt) is not null
            ? this
            : throw new JsonException("a part of it is missing");
}
