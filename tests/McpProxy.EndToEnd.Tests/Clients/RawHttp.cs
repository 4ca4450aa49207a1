using System.Net.Http.Headers;
using System.Text;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.Clients;

/// <summary>Single requests to a Streamable HTTP endpoint, for tests that are about the wire.</summary>
internal sealed class RawHttp(Uri url) : IDisposable
{
    private readonly HttpClient _http = new();

    /// <summary>The session that requests belong to.</summary>
    public string? SessionId { get; set; }

    /// <param name="message">The body.</param>
    /// <param name="askFirst">Whether to send the headers alone at first, so that a refusal cannot cross a body on its way.</param>
    public Task<(HttpResponseMessage Response, string Body)> PostAsync(string message, bool askFirst = false)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, url) { Content = new StringContent(message, Encoding.UTF8, new MediaTypeHeaderValue("application/json")) };
        request.Headers.ExpectContinue = askFirst;
        request.Headers.Accept.ParseAdd("application/json, text/event-stream");
        return SendAsync(request);
    }

    public Task<(HttpResponseMessage Response, string Body)> DeleteAsync() => SendAsync(new(HttpMethod.Delete, url));

    public void Dispose() => _http.Dispose();

    private async Task<(HttpResponseMessage Response, string Body)> SendAsync(HttpRequestMessage request)
    {
        if (SessionId is not null)
        {
            request.Headers.Add("Mcp-Session-Id", SessionId);
        }

        var response = await _http.SendAsync(request, TestContext.Current.CancellationToken).Within($"the answer to {request.Method}");
        return (response, await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken).Within($"the body of the answer to {request.Method}"));
    }
}
