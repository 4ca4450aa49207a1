using System.ComponentModel;
using ModelContextProtocol.Server;

namespace McpProxy.TestServer;

[McpServerResourceType]
internal sealed class Resources
{
    [McpServerResource(UriTemplate = "test://fixed", Name = "fixed", MimeType = "text/plain")]
    [Description("A resource that can be subscribed to.")]
    public static string Fixed() => "the fixed resource";

    [McpServerResource(UriTemplate = "test://item/{id}", Name = "item", MimeType = "text/plain")]
    [Description("A resource with a parameter.")]
    public static string Item(string id) => $"item {id}";
}
