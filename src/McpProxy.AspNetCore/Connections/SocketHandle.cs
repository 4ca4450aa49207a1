using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

namespace McpProxy.AspNetCore.Connections;

/// <summary>A socket that was taken from the system without the runtime's own socket around it.</summary>
[SupportedOSPlatform("linux")]
internal sealed class SocketHandle : SafeHandleMinusOneIsInvalid
{
    public SocketHandle(int descriptor)
        : base(ownsHandle: true) => SetHandle(descriptor);

    protected override bool ReleaseHandle() => SocketCalls.Close((int)handle) == 0;
}
