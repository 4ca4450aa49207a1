using System.Text.Json.Serialization;

namespace McpProxy.Auth.Store;

[JsonSerializable(typeof(StoredSignIn))]
[JsonSerializable(typeof(StoredFlow))]
[JsonSerializable(typeof(SealedFile))]
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, WriteIndented = true)]
internal sealed partial class StoreJson : JsonSerializerContext;
