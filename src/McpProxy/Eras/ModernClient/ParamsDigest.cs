using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using McpProxy.JsonRpc;

namespace McpProxy.Eras.ModernClient;

/// <summary>
/// A digest of what a call asks for, by which the call is known again: the same for the same values, however they are
/// written and in whichever order, and for whatever a repetition adds.
/// </summary>
internal static class ParamsDigest
{
    /// <summary>The SHA-256 of a call's parameters without <c>_meta</c>, <c>inputResponses</c> and <c>requestState</c>.</summary>
    public static byte[] Of(ReadOnlyMemory<byte> parameters)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        if (!parameters.IsEmpty)
        {
            using var document = JsonDocument.Parse(parameters, new JsonDocumentOptions { MaxDepth = JsonRpcMessage.MaxDepth });
            Add(hash, document.RootElement, isTop: true);
        }

        return hash.GetHashAndReset();
    }

    private static void Add(IncrementalHash hash, JsonElement value, bool isTop = false)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                hash.AppendData("{"u8);
                foreach (var (name, member) in value.EnumerateObject().Select(member => (Name: TextOf(member), member.Value)).OrderBy(member => member.Name, StringComparer.Ordinal))
                {
                    if (!isTop || name is not ("_meta" or "inputResponses" or "requestState"))
                    {
                        AddText(hash, name);
                        Add(hash, member);
                    }
                }

                hash.AppendData("}"u8);
                break;
            case JsonValueKind.Array:
                hash.AppendData("["u8);
                foreach (var item in value.EnumerateArray())
                {
                    Add(hash, item);
                }

                hash.AppendData("]"u8);
                break;
            case JsonValueKind.String:
                AddText(hash, TextOf(value));
                break;
            default:
                // Numbers and words are distinct by their text; what follows tells where they end.
                hash.AppendData(Encoding.UTF8.GetBytes(value.GetRawText()));
                hash.AppendData(","u8);
                break;
        }
    }

    private static void AddText(IncrementalHash hash, string text)
    {
        var utf8 = Encoding.UTF8.GetBytes(text);
        hash.AppendData(Encoding.ASCII.GetBytes($"\"{utf8.Length}:"));
        hash.AppendData(utf8);
    }

    private static string TextOf(JsonElement value)
    {
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            // A lone surrogate is no text; as it is written it still tells the value from others.
            return value.GetRawText();
        }
    }

    private static string TextOf(JsonProperty member)
    {
        try
        {
            return member.Name;
        }
        catch (InvalidOperationException)
        {
            return "\ufffd";
        }
    }
}
