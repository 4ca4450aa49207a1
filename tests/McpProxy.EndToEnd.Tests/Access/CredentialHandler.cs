namespace McpProxy.EndToEnd.Tests.Access;

/// <summary>Sends a header with every request.</summary>
internal sealed class CredentialHandler(string name, string value) : DelegatingHandler(new SocketsHttpHandler())
{
    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        request.Headers.TryAddWithoutValidation(name, value);
        return base.SendAsync(request, cancellationToken);
    }
}
