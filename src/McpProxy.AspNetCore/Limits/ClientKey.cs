using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore.Limits;

/// <summary>Whose limits a request counts against.</summary>
internal static class ClientKey
{
    /// <summary>Who authenticated; else the remote address, of which an IPv6 host has a whole /64.</summary>
    public static string Of(HttpContext context) => Principal.Of(context) ?? OfAddress(context.Connection.RemoteIpAddress);

    private static string OfAddress(IPAddress? address)
    {
        if (address is null)
        {
            return "unknown";
        }

        if (address.IsIPv4MappedToIPv6)
        {
            address = address.MapToIPv4();
        }

        if (address.AddressFamily != AddressFamily.InterNetworkV6)
        {
            return address.ToString();
        }

        Span<byte> bytes = stackalloc byte[16];
        address.TryWriteBytes(bytes, out _);
        bytes[8..].Clear();
        return new IPAddress(bytes).ToString();
    }
}
