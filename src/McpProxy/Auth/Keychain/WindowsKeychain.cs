using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Security.Cryptography;

namespace McpProxy.Auth.Keychain;

/// <summary>The Credential Manager.</summary>
[SupportedOSPlatform("windows")]
internal sealed unsafe partial class WindowsKeychain : IKeychain
{
    public string Name => "Windows Credential Manager";

    public byte[]? Read(string account)
    {
        if (!Native.Read(Target(account), Native.Generic, 0, out var credential))
        {
            return Marshal.GetLastPInvokeError() == Native.NotFound ? null : throw Refusal();
        }

        var secret = new Span<byte>(credential->Blob, (int)credential->BlobSize);
        var copy = secret.ToArray();
        CryptographicOperations.ZeroMemory(secret);
        Native.Free(credential);
        return copy;
    }

    public void Write(string account, ReadOnlySpan<byte> secret)
    {
        fixed (char* target = Target(account), user = account)
        fixed (byte* blob = secret)
        {
            var credential = new Native.Credential
            {
                Type = Native.Generic,
                TargetName = target,
                BlobSize = (uint)secret.Length,
                Blob = blob,
                Persist = Native.PersistLocalMachine,
                UserName = user,
            };
            if (!Native.Write(&credential, 0))
            {
                throw Refusal();
            }
        }
    }

    public void Delete(string account)
    {
        if (!Native.Delete(Target(account), Native.Generic, 0) && Marshal.GetLastPInvokeError() != Native.NotFound)
        {
            throw Refusal();
        }
    }

    private static string Target(string account) => $"{SystemKeychain.Service}:{account}";

    // A service or a session over the network may have no credentials at all; the system's message says so.
    private static KeychainException Refusal() => new($"the Windows Credential Manager refused: {Marshal.GetLastPInvokeErrorMessage()}");

    private static partial class Native
    {
        public const uint Generic = 1;
        public const uint PersistLocalMachine = 2;
        public const int NotFound = 1168;

        [LibraryImport("advapi32", EntryPoint = "CredReadW", SetLastError = true, StringMarshalling = StringMarshalling.Utf16)]
        [return: MarshalAs(UnmanagedType.Bool)]
        public static partial bool Read(string target, uint type, uint flags, out Credential* credential);

        [LibraryImport("advapi32", EntryPoint = "CredWriteW", SetLastError = true)]
        [return: MarshalAs(UnmanagedType.Bool)]
        public static partial bool Write(Credential* credential, uint flags);

        [LibraryImport("advapi32", EntryPoint = "CredDeleteW", SetLastError = true, StringMarshalling = StringMarshalling.Utf16)]
        [return: MarshalAs(UnmanagedType.Bool)]
        public static partial bool Delete(string target, uint type, uint flags);

        [LibraryImport("advapi32", EntryPoint = "CredFree")]
        public static partial void Free(Credential* credential);

        /// <summary>CREDENTIALW; the time is two halves, for it is not aligned as a whole.</summary>
        [StructLayout(LayoutKind.Sequential)]
        public struct Credential
        {
            public uint Flags;
            public uint Type;
            public char* TargetName;
            public char* Comment;
            public uint LastWrittenLow;
            public uint LastWrittenHigh;
            public uint BlobSize;
            public byte* Blob;
            public uint Persist;
            public uint AttributeCount;
            public void* Attributes;
            public char* TargetAlias;
            public char* UserName;
        }
    }
}
