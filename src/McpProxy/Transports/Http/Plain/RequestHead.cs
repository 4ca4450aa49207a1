using McpProxy.Buffers;

namespace McpProxy.Transports.Http.Plain;

/// <summary>Writes the head of a request (RFC 9112, sections 3 and 5) into a buffer from the shared pool.</summary>
internal struct RequestHead : IDisposable
{
    private const int FirstSize = 1024;

    private PooledBytes _bytes;

    private RequestHead(int spare) => _bytes = new(FirstSize + spare);

    /// <summary>Whether the request asks for the connection to be closed after it.</summary>
    public bool AsksForClose { get; private set; }

    /// <summary>What was written so far; who has sent it disposes of the head.</summary>
    public readonly ReadOnlyMemory<byte> Bytes => _bytes.Memory;

    /// <summary>Writes the head of a request.</summary>
    /// <param name="request">The request.</param>
    /// <param name="target">Its target and host.</param>
    /// <param name="bodyLength">How long the body is; null for none.</param>
    /// <param name="spare">How much more is to fit into the buffer.</param>
    /// <exception cref="HttpRequestException">A header has a character that cannot be sent.</exception>
    public static RequestHead Write(HttpRequestMessage request, PlainTarget target, int? bodyLength, int spare)
    {
        var head = new RequestHead(spare);
        try
        {
            head.Write(request, target, bodyLength);
            return head;
        }
        catch
        {
            head.Dispose();
            throw;
        }
    }

    /// <summary>Writes the head of a request that was prepared.</summary>
    /// <param name="request">The request.</param>
    /// <param name="bodyLength">How long the body is.</param>
    /// <param name="spare">How much more is to fit into the buffer.</param>
    public static RequestHead Write(PreparedRequest request, int bodyLength, int spare)
    {
        var head = new RequestHead(spare);
        head.Append(request.Head.Span);
        head.AppendLength(bodyLength);
        head.Append("\r\n"u8);
        return head;
    }

    /// <summary>What the heads of requests that differ in nothing but the body have in common: all but the body's length.</summary>
    /// <returns>Null where they ask for the connection to be closed.</returns>
    /// <exception cref="HttpRequestException">A header has a character that cannot be sent.</exception>
    public static byte[]? Common(HttpRequestMessage request, PlainTarget target)
    {
        var head = new RequestHead(0);
        try
        {
            head.WriteFields(request, target);
            return head.AsksForClose ? null : head.Bytes.ToArray();
        }
        finally
        {
            head.Dispose();
        }
    }

    /// <summary>Adds the beginning of the body behind the head.</summary>
    public void Append(ReadOnlySpan<byte> bytes) => _bytes.Append(bytes);

    /// <summary>Gives the memory back.</summary>
    public readonly void Dispose() => _bytes.Dispose();

    private void Write(HttpRequestMessage request, PlainTarget target, int? bodyLength)
    {
        WriteFields(request, target);

        // A method that is defined to have a body says so when there is none (RFC 9110, section 8.6).
        if (bodyLength is not null || request.Method == HttpMethod.Post || request.Method == HttpMethod.Put || request.Method == HttpMethod.Patch)
        {
            AppendLength(bodyLength ?? 0);
        }

        Append("\r\n"u8);
    }

    private void AppendLength(int length)
    {
        Append("Content-Length: "u8);
        _bytes.Append(length);
        Append("\r\n"u8);
    }

    private void WriteFields(HttpRequestMessage request, PlainTarget target)
    {
        Append(request.Method.Method);
        Append(" "u8);
        Append(target.PathAndQuery);
        Append(" HTTP/1.1\r\nHost: "u8);
        Append(request.Headers.Host ?? target.HostHeader);
        Append("\r\n"u8);
        foreach (var (name, values) in request.Headers.NonValidated)
        {
            if (string.Equals(name, "Host", StringComparison.OrdinalIgnoreCase))
            {
                continue;
            }

            var value = values.ToString();
            AsksForClose |= string.Equals(name, "Connection", StringComparison.OrdinalIgnoreCase) && value.Contains("close", StringComparison.OrdinalIgnoreCase);
            Append(name, value);
        }

        if (request.Content is { } content)
        {
            foreach (var (name, values) in content.Headers.NonValidated)
            {
                if (!string.Equals(name, "Content-Length", StringComparison.OrdinalIgnoreCase))
                {
                    Append(name, values.ToString());
                }
            }
        }
    }

    private void Append(string name, string value)
    {
        Append(name);
        Append(": "u8);
        Append(value);
        Append("\r\n"u8);
    }

    private void Append(string text)
    {
        if (!_bytes.TryAppend(text))
        {
            throw new HttpRequestException("Request headers must contain only ASCII characters.");
        }
    }
}
