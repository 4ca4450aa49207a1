using System.Buffers;
using System.Buffers.Text;
using System.Formats.Asn1;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace McpProxy.Transports.Http.Tls;

/// <summary>Authorities in a PEM file, of which only those that are asked for become certificates.</summary>
/// <param name="file">The file.</param>
/// <param name="isOptional">Whether it may be missing, or not be for us to read.</param>
internal sealed class PemFileRoots(string file, bool isOptional = false) : IRootPlace
{
    public IEnumerable<X509Certificate2> Find(IReadOnlyList<byte[]> names)
    {
        byte[] text;
        try
        {
            text = File.ReadAllBytes(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return isOptional ? [] : throw new AuthenticationException($"no certificate authorities can be read from {file}: {e.Message}", e);
        }

        List<X509Certificate2> found = [];
        for (var rest = text.AsSpan(); NextBlock(ref rest) is { IsEmpty: false } block;)
        {
            AddNamed(block, names, found);
        }

        return found;
    }

    /// <summary>The Base64 between the next two lines that frame a certificate; empty at the end.</summary>
    private static ReadOnlySpan<byte> NextBlock(ref Span<byte> rest)
    {
        var begin = "-----BEGIN CERTIFICATE-----"u8;
        var end = "-----END CERTIFICATE-----"u8;
        var start = rest.IndexOf(begin);
        if (start < 0)
        {
            return default;
        }

        rest = rest[(start + begin.Length)..];
        var length = rest.IndexOf(end);
        if (length <= 0)
        {
            return default;
        }

        var block = rest[..length];
        rest = rest[(length + end.Length)..];
        return block;
    }

    private static void AddNamed(ReadOnlySpan<byte> block, IReadOnlyList<byte[]> names, List<X509Certificate2> found)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(block.Length);
        try
        {
            if (Base64.DecodeFromUtf8(block, buffer, out _, out var length) != OperationStatus.Done)
            {
                return;
            }

            var der = buffer.AsSpan(0, length);
            var subject = SubjectOf(der);
            foreach (var name in names)
            {
                if (subject.SequenceEqual(name))
                {
                    found.Add(X509CertificateLoader.LoadCertificate(der));
                    return;
                }
            }
        }
        catch (Exception e) when (e is AsnContentException or CryptographicException)
        {
            // Not a certificate: it makes nothing trusted.
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>The subject of a certificate, without reading the rest of it (RFC 5280, section 4.1).</summary>
    private static ReadOnlySpan<byte> SubjectOf(ReadOnlySpan<byte> certificate)
    {
        var fields = Inside(Inside(certificate));
        var version = fields is [0xA0, ..] ? 1 : 0;
        for (var before = version + 4; before > 0; before--)
        {
            // serialNumber, signature, issuer, validity
            fields = fields[LengthOf(fields)..];
        }

        return fields[..LengthOf(fields)];
    }

    private static ReadOnlySpan<byte> Inside(ReadOnlySpan<byte> sequence)
    {
        AsnDecoder.ReadSequence(sequence, AsnEncodingRules.DER, out var offset, out var length, out _);
        return sequence.Slice(offset, length);
    }

    private static int LengthOf(ReadOnlySpan<byte> value)
    {
        AsnDecoder.ReadEncodedValue(value, AsnEncodingRules.DER, out _, out _, out var length);
        return length;
    }
}
