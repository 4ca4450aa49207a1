using System.Buffers.Binary;
using System.Text;

namespace McpProxy.EndToEnd.Tests.Operations;

/// <summary>Protocol Buffers' wire format, read without a schema.</summary>
internal sealed class ProtobufMessage
{
    private readonly List<(int Field, object Value)> _fields = [];

    public ProtobufMessage(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            var tag = Varint(ref bytes);
            switch (tag & 7)
            {
                case 0:
                    _fields.Add(((int)(tag >> 3), Varint(ref bytes)));
                    break;
                case 1:
                    _fields.Add(((int)(tag >> 3), BinaryPrimitives.ReadUInt64LittleEndian(bytes)));
                    bytes = bytes[8..];
                    break;
                case 2:
                    var length = (int)Varint(ref bytes);
                    _fields.Add(((int)(tag >> 3), bytes[..length].ToArray()));
                    bytes = bytes[length..];
                    break;
                default:
                    throw new InvalidDataException($"wire type {tag & 7}");
            }
        }
    }

    public IEnumerable<ProtobufMessage> All(int field) => _fields.Where(entry => entry.Field == field).Select(entry => new ProtobufMessage((byte[])entry.Value));

    public ProtobufMessage One(int field) => All(field).Single();

    public ulong Number(int field) => _fields.Where(entry => entry.Field == field).Select(entry => (ulong)entry.Value).SingleOrDefault();

    public byte[] Bytes(int field) => _fields.Where(entry => entry.Field == field).Select(entry => (byte[])entry.Value).SingleOrDefault() ?? [];

    public string Text(int field) => Encoding.UTF8.GetString(Bytes(field));

    public string Hex(int field) => Convert.ToHexStringLower(Bytes(field));

    /// <summary>OTLP attributes that are text.</summary>
    public Dictionary<string, string> Attributes(int field) => All(field).ToDictionary(pair => pair.Text(1), pair => pair.One(2).Text(1), StringComparer.Ordinal);

    private static ulong Varint(ref ReadOnlySpan<byte> bytes)
    {
        ulong value = 0;
        for (var shift = 0; ; shift += 7)
        {
            var b = bytes[0];
            bytes = bytes[1..];
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
            {
                return value;
            }
        }
    }
}
