using System.Text.Json;

namespace McpProxy.Transports.StreamableHttp;

/// <summary>Reads the <c>x-mcp-header</c> annotations of a tool's input schema and checks them (MCP 2026-07-28, "Schema Extension").</summary>
internal sealed class ToolSchemaReader
{
    private readonly List<ToolHeader> _headers = [];
    private string? _problem;

    /// <summary>The annotated parameters of a schema; or what makes an annotation, and so the tool, invalid.</summary>
    public static (IReadOnlyList<ToolHeader> Headers, string? Problem) Read(JsonElement inputSchema)
    {
        var reader = new ToolSchemaReader();
        reader.Visit(inputSchema, [], reachable: true);
        return (reader._headers, reader._problem);
    }

    private void Visit(JsonElement schema, string[] path, bool reachable)
    {
        if (schema.ValueKind == JsonValueKind.Array)
        {
            foreach (var item in schema.EnumerateArray())
            {
                Visit(item, path, reachable: false);
            }
        }

        if (schema.ValueKind != JsonValueKind.Object)
        {
            return;
        }

        foreach (var member in schema.EnumerateObject())
        {
            switch (member.Name)
            {
                case "x-mcp-header":
                    Take(member.Value, schema, path, reachable);
                    break;
                case "properties":
                    VisitNamed(member.Value, path, reachable);
                    break;
                case "$defs" or "definitions" or "patternProperties" or "dependentSchemas":
                    VisitNamed(member.Value, path, reachable: false);
                    break;
                case "enum" or "const" or "default" or "examples":
                    // Data, not schemas: nothing in there is an annotation.
                    break;
                default:
                    Visit(member.Value, path, reachable: false);
                    break;
            }
        }
    }

    private void VisitNamed(JsonElement schemas, string[] path, bool reachable)
    {
        if (schemas.ValueKind == JsonValueKind.Object)
        {
            foreach (var property in schemas.EnumerateObject())
            {
                Visit(property.Value, [.. path, property.Name], reachable);
            }
        }
    }

    private void Take(JsonElement value, JsonElement schema, string[] path, bool reachable)
    {
        var name = value.ValueKind == JsonValueKind.String ? value.GetString()! : "";
        if (!McpHeaders.IsToken(name))
        {
            _problem ??= "an x-mcp-header value is no HTTP header name";
        }
        else if (!reachable || path.Length == 0)
        {
            _problem ??= $"x-mcp-header \"{name}\" is on a parameter that is not reachable through properties alone";
        }
        else if (!schema.TryGetProperty("type", out var type) || !IsPrimitive(type))
        {
            _problem ??= $"x-mcp-header \"{name}\" is on a parameter that is no string, integer or boolean";
        }
        else if (_headers.Exists(header => string.Equals(header.Name, McpHeaders.ParamPrefix + name, StringComparison.OrdinalIgnoreCase)))
        {
            _problem ??= $"x-mcp-header \"{name}\" is used twice";
        }
        else
        {
            _headers.Add(new(McpHeaders.ParamPrefix + name, path));
        }
    }

    private static bool IsPrimitive(JsonElement type) => type.ValueKind switch
    {
        JsonValueKind.String => type.GetString() is "string" or "integer" or "boolean",
        JsonValueKind.Array => type.GetArrayLength() > 0
            && type.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String && item.GetString() is "string" or "integer" or "boolean" or "null"),
        _ => false,
    };
}
