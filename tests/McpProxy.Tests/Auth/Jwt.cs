using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace McpProxy.Tests.Auth;

/// <summary>A JWT, taken apart the way a server does it.</summary>
internal sealed class Jwt
{
    private readonly byte[] _signed;
    private readonly byte[] _signature;

    public Jwt(string text)
    {
        var parts = text.Split('.');
        (Header, Payload, _signature) = (Parse(parts[0]), Parse(parts[1]), Base64Url.DecodeFromChars(parts[2]));
        _signed = Encoding.ASCII.GetBytes($"{parts[0]}.{parts[1]}");
    }

    public JsonElement Header { get; }

    public JsonElement Payload { get; }

    public bool IsSignedBy(ECDsa key) => key.VerifyData(_signed, _signature, Hash, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);

    public bool IsSignedBy(RSA key) => key.VerifyData(_signed, _signature, Hash, Text("alg")[0] == 'P' ? RSASignaturePadding.Pss : RSASignaturePadding.Pkcs1);

    public string? Claim(string name) => Payload.TryGetProperty(name, out var value) ? value.ToString() : null;

    private HashAlgorithmName Hash => Text("alg")[2..] switch { "256" => HashAlgorithmName.SHA256, "384" => HashAlgorithmName.SHA384, _ => HashAlgorithmName.SHA512 };

    private static JsonElement Parse(string part)
    {
        using var document = JsonDocument.Parse(Base64Url.DecodeFromChars(part));
        return document.RootElement.Clone();
    }

    private string Text(string name) => Header.GetProperty(name).GetString()!;
}
