using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace McpProxy.EndToEnd.Tests.OAuth.Servers;

/// <summary>An answer that a server should not give.</summary>
public delegate Task Fault(HttpContext context);

/// <summary>The answers that servers should not give, and do.</summary>
public static class Faults
{
    public static Fault ServerError { get; } = context => Reply.TextAsync(context, "text/html", "<h1>Oops</h1>", StatusCodes.Status500InternalServerError);

    public static Fault NotFound { get; } = context => Reply.TextAsync(context, "text/html", "<h1>Nothing here</h1>", StatusCodes.Status404NotFound);

    public static Fault Garbage { get; } = context => Reply.TextAsync(context, "application/json", "{\"issuer\": <html>");

    /// <summary>No more bytes than a client that counts would ever read; a client that does not is stopped by them.</summary>
    public static Fault EndlessBody { get; } = async context =>
    {
        const int Most = 256;
        var megabyte = new byte[1 << 20];
        Array.Fill(megabyte, (byte)' ');
        context.Response.ContentType = "application/json";
        for (var sent = 0; sent < Most; sent++)
        {
            await context.Response.Body.WriteAsync(megabyte, context.RequestAborted);
        }
    };

    public static Fault Silence { get; } = context => Task.Delay(Timeout.Infinite, context.RequestAborted);

    /// <summary>What a server does that is not there: the connection breaks without an answer.</summary>
    public static Fault HangUp { get; } = context =>
    {
        context.Abort();
        return Task.CompletedTask;
    };

    public static Fault OAuthError(string error, string? description = null, int status = StatusCodes.Status400BadRequest) =>
        context => Reply.OAuthErrorAsync(context, error, description, status);

    public static Fault RedirectTo(string url) => context =>
    {
        context.Response.Redirect(url);
        return Task.CompletedTask;
    };
}

/// <summary>How the servers here answer.</summary>
internal static class Reply
{
    public static Task JsonAsync(HttpContext context, JsonNode body, int status = StatusCodes.Status200OK) =>
        TextAsync(context, "application/json", body.ToJsonString(), status);

    public static Task OAuthErrorAsync(HttpContext context, string error, string? description = null, int status = StatusCodes.Status400BadRequest)
    {
        var body = new JsonObject { ["error"] = error };
        if (description is not null)
        {
            body["error_description"] = description;
        }

        return JsonAsync(context, body, status);
    }

    public static Task TextAsync(HttpContext context, string type, string body, int status = StatusCodes.Status200OK)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = type;
        context.Response.Headers.CacheControl = "no-store";
        return context.Response.WriteAsync(body, context.RequestAborted);
    }
}
