using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;

namespace McpProxy.EndToEnd.Tests.OAuth.Servers;

/// <summary>A request as it came in, and the status that it got.</summary>
public sealed class SeenRequest
{
    private SeenRequest(HttpRequest request, string body)
    {
        Method = request.Method;
        Path = request.Path.Value!;
        Query = request.Query.ToDictionary(pair => pair.Key, pair => pair.Value.ToString(), StringComparer.Ordinal);
        Headers = request.Headers.ToDictionary(pair => pair.Key, pair => pair.Value.ToString(), StringComparer.OrdinalIgnoreCase);
        Body = body;
        Form = request.ContentType?.StartsWith("application/x-www-form-urlencoded", StringComparison.OrdinalIgnoreCase) == true
            ? QueryHelpers.ParseQuery(body).ToDictionary(pair => pair.Key, pair => pair.Value.ToString(), StringComparer.Ordinal)
            : new Dictionary<string, string>(StringComparer.Ordinal);
    }

    public string Method { get; }

    public string Path { get; }

    public IReadOnlyDictionary<string, string> Query { get; }

    public IReadOnlyDictionary<string, string> Form { get; }

    public IReadOnlyDictionary<string, string> Headers { get; }

    public string Body { get; }

    public DateTimeOffset At { get; } = DateTimeOffset.UtcNow;

    /// <summary>Zero while there is no answer yet.</summary>
    public int Status { get; set; }

    /// <summary>The access token that came along, for whoever has it.</summary>
    public string? Bearer => TokenOf("Bearer ");

    /// <summary>The access token that came along, for whoever has its key.</summary>
    public string? BoundToken => TokenOf("DPoP ");

    /// <summary>The kind of token request.</summary>
    public string? GrantType => Form.GetValueOrDefault("grant_type");

    public static async Task<SeenRequest> ReadAsync(HttpContext context)
    {
        using var reader = new StreamReader(context.Request.Body);
        return new(context.Request, await reader.ReadToEndAsync(context.RequestAborted));
    }

    public override string ToString() => $"{Method} {Path}{(Query.Count > 0 ? $" ?{Pairs(Query)}" : "")}{(Form.Count > 0 ? $" {Pairs(Form)}" : $" {Body}")}";

    private string? TokenOf(string scheme) => Headers.GetValueOrDefault("Authorization") is { } value && value.StartsWith(scheme, StringComparison.OrdinalIgnoreCase) ? value[scheme.Length..] : null;

    private static string Pairs(IReadOnlyDictionary<string, string> pairs) => string.Join('&', pairs.Select(pair => $"{pair.Key}={pair.Value}"));
}
