using System.Text.Json;

namespace McpProxy.NodePeers.Tests.Scenery;

/// <summary>Short ways to what a script has reported.</summary>
internal static class JsonElementExtensions
{
    public static string Text(this JsonElement element, string name) => element.GetProperty(name).GetString()!;

    public static IEnumerable<string> Texts(this JsonElement array) => array.EnumerateArray().Select(element => element.GetString()!);

    public static IEnumerable<string> Texts(this JsonElement element, string name) => element.GetProperty(name).Texts();

    public static IEnumerable<int> Numbers(this JsonElement array) => array.EnumerateArray().Select(element => element.GetInt32());

    /// <summary>One member of every element.</summary>
    public static IEnumerable<JsonElement> Each(this JsonElement array, string name) => array.EnumerateArray().Select(element => element.GetProperty(name));
}
