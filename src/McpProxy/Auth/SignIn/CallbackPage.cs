using System.Net;
using System.Text;

namespace McpProxy.Auth.SignIn;

/// <summary>The page on which a sign-in ends in the browser.</summary>
internal static class CallbackPage
{
    /// <summary>A whole HTTP response.</summary>
    public static byte[] Response(int status, string heading, string text, bool isGood)
    {
        var body = Encoding.UTF8.GetBytes($$"""
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <link rel="icon" href="data:,">
            <title>{{WebUtility.HtmlEncode(heading)}}</title>
            <style>
            :root { color-scheme: light dark; }
            body { font: 1rem/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid; place-items: center; }
            main { max-width: 34rem; padding: 2rem; text-align: center; }
            .mark { font-size: 3rem; line-height: 1; color: {{(isGood ? "light-dark(#1a7f37, #4ac26b)" : "light-dark(#cf222e, #ff7b72)")}}; }
            h1 { font-size: 1.5rem; margin: 1rem 0 .5rem; }
            p { margin: 0; overflow-wrap: anywhere; text-wrap: balance; }
            </style>
            </head>
            <body>
            <main>
            <div class="mark" aria-hidden="true">{{(isGood ? "&#10003;" : "&#10007;")}}</div>
            <h1>{{WebUtility.HtmlEncode(heading)}}</h1>
            <p>{{WebUtility.HtmlEncode(text)}}</p>
            </main>
            </body>
            </html>
            """);
        return [.. Head(status, $"Content-Type: text/html; charset=utf-8\r\nContent-Length: {body.Length}\r\n"), .. body];
    }

    /// <summary>A whole HTTP response that leads the browser on.</summary>
    public static byte[] Redirect(Uri location) => Head(303, $"Location: {location.AbsoluteUri}\r\nContent-Length: 0\r\n");

    private static byte[] Head(int status, string headers) => Encoding.ASCII.GetBytes(
        $"HTTP/1.1 {status} {(HttpStatusCode)status}\r\n{headers}Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n"
        + "Content-Security-Policy: default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'\r\nConnection: close\r\n\r\n");
}
