using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace McpProxy.Telemetry.Otlp;

/// <summary>Writes Protocol Buffers' wire format, as far as OTLP needs it. Fields that have their default value are left out.</summary>
internal sealed class ProtobufWriter
{
    private const int Varint = 0;
    private const int Fixed64Type = 1;
    private const int LengthDelimited = 2;

    private readonly ArrayBufferWriter<byte> _buffer = new();

    public ReadOnlyMemory<byte> Written => _buffer.WrittenMemory;

    public void Bytes(int field, ReadOnlySpan<byte> value)
    {
        Tag(field, LengthDelimited);
        Number((ulong)value.Length);
        _buffer.Write(value);
    }

    public void Text(int field, string? value)
    {
        if (!string.IsNullOrEmpty(value))
        {
            Bytes(field, Encoding.UTF8.GetBytes(value));
        }
    }

    public void Integer(int field, long value)
    {
        if (value != 0)
        {
            Tag(field, Varint);
            Number((ulong)value);
        }
    }

    public void Fixed64(int field, ulong value)
    {
        Tag(field, Fixed64Type);
        Fixed64(value);
    }

    public void Double(int field, double value) => Fixed64(field, BitConverter.DoubleToUInt64Bits(value));

    public void Packed(int field, IReadOnlyCollection<ulong> values)
    {
        Tag(field, LengthDelimited);
        Number((ulong)values.Count * 8);
        foreach (var value in values)
        {
            Fixed64(value);
        }
    }

    public void Message(int field, Action<ProtobufWriter> write)
    {
        var inner = new ProtobufWriter();
        write(inner);
        Bytes(field, inner.Written.Span);
    }

    /// <summary>A <c>KeyValue</c> of OTLP.</summary>
    public void Attribute(int field, string key, object? value) => Message(field, pair =>
    {
        pair.Text(1, key);
        pair.Message(2, any =>
        {
            switch (value)
            {
                case bool yes:
                    any.Tag(2, Varint);
                    any.Number(yes ? 1UL : 0);
                    break;
                case int or long:
                    any.Tag(3, Varint);
                    any.Number((ulong)Convert.ToInt64(value, System.Globalization.CultureInfo.InvariantCulture));
                    break;
                case double number:
                    any.Double(4, number);
                    break;
                default:
                    any.Bytes(1, Encoding.UTF8.GetBytes(value?.ToString() ?? ""));
                    break;
            }
        });
    });

    private void Tag(int field, int type) => Number((ulong)((field << 3) | type));

    private void Number(ulong value)
    {
        var span = _buffer.GetSpan(10);
        var length = 0;
        while (value >= 0x80)
        {
            span[length++] = (byte)(value | 0x80);
            value >>= 7;
        }

        span[length++] = (byte)value;
        _buffer.Advance(length);
    }

    private void Fixed64(ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(_buffer.GetSpan(8), value);
        _buffer.Advance(8);
    }
}
