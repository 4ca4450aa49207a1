using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using McpProxy.Auth;

namespace McpProxy.Tests.Auth;

/// <summary>The servers that the OAuth client talks to, played by a test.</summary>
internal sealed class FakeHttp(Func<FakeHttp.Request, HttpResponseMessage> answer) : HttpMessageHandler
{
    /// <summary>What was asked, in order.</summary>
    public ConcurrentQueue<Request> Requests { get; } = new();

    public IEnumerable<string> Urls => Requests.Select(request => request.Url.AbsoluteUri);

    /// <summary>A client in front of it.</summary>
    public OAuthHttpClient Client(string server = "https://mcp.test/mcp", bool allowHttp = false, TimeProvider? time = null) =>
        new(new(this), new(server), allowHttp, time ?? new ManualTime());

    public static HttpResponseMessage Json(string json, int status = 200) =>
        new((HttpStatusCode)status) { Content = new StringContent(json, Encoding.UTF8, "application/json") };

    public static HttpResponseMessage Status(int status) => new((HttpStatusCode)status) { Content = new ByteArrayContent([]) };

    public static HttpResponseMessage Redirect(string location) => new(HttpStatusCode.Found) { Headers = { Location = new(location, UriKind.RelativeOrAbsolute) } };

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var body = request.Content is null ? "" : await request.Content.ReadAsStringAsync(cancellationToken);
        var seen = new Request(request.Method.Method, request.RequestUri!, request.Headers, body);
        Requests.Enqueue(seen);
        var response = answer(seen);
        response.RequestMessage = request;
        return response;
    }

    internal sealed record Request(string Method, Uri Url, HttpRequestHeaders Headers, string Body)
    {
        /// <summary>The parameters of a form.</summary>
        public Dictionary<string, string> Form => Query(Body);

        public string? Header(string name) => Headers.NonValidated.TryGetValues(name, out var values) ? values.ToString() : null;

        /// <summary>The parameters of a query; none may come twice.</summary>
        public static Dictionary<string, string> Query(string text) => text.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries)
            .Select(parameter => parameter.Split('=', 2))
            .ToDictionary(parts => WebUtility.UrlDecode(parts[0]), parts => WebUtility.UrlDecode(parts[1]), StringComparer.Ordinal);
    }
}
