using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Security.Cryptography;
using System.Text;

namespace McpProxy.Auth.Keychain;

/// <summary>
/// The login keychain, through the older functions of Security.framework: the newer ones take dictionaries of Core
/// Foundation objects, and lead a program without entitlements to the same keychain.
/// </summary>
[SupportedOSPlatform("macos")]
internal sealed unsafe partial class MacKeychain : IKeychain
{
    private static readonly byte[] s_service = Encoding.UTF8.GetBytes(SystemKeychain.Service);

    public string Name => "macOS Keychain";

    public byte[]? Read(string account)
    {
        var name = Encoding.UTF8.GetBytes(account);
        uint length;
        void* data;
        var status = Native.Find(0, (uint)s_service.Length, s_service, (uint)name.Length, name, &length, &data, null);
        if (status == Native.ItemNotFound)
        {
            return null;
        }

        Check(status);
        var secret = new Span<byte>(data, (int)length);
        var copy = secret.ToArray();
        CryptographicOperations.ZeroMemory(secret);
        _ = Native.FreeContent(0, data);
        return copy;
    }

    public void Write(string account, ReadOnlySpan<byte> secret)
    {
        var name = Encoding.UTF8.GetBytes(account);
        var item = FindItem(account);
        if (item == 0)
        {
            Check(Native.Add(0, (uint)s_service.Length, s_service, (uint)name.Length, name, (uint)secret.Length, secret, null));
            return;
        }

        var status = Native.Modify(item, 0, (uint)secret.Length, secret);
        Native.Release(item);
        Check(status);
    }

    public void Delete(string account)
    {
        var item = FindItem(account);
        if (item != 0)
        {
            var status = Native.Delete(item);
            Native.Release(item);
            Check(status);
        }
    }

    private static nint FindItem(string account)
    {
        var name = Encoding.UTF8.GetBytes(account);
        nint item = 0;
        var status = Native.Find(0, (uint)s_service.Length, s_service, (uint)name.Length, name, null, null, &item);
        Check(status == Native.ItemNotFound ? 0 : status);
        return item;
    }

    private static void Check(int status)
    {
        if (status == 0)
        {
            return;
        }

        var text = new byte[512];
        var message = Native.ErrorMessage(status, 0);
        if (message != 0)
        {
            _ = Native.GetUtf8(message, text, text.Length, Native.Utf8);
            Native.Release(message);
        }

        throw new KeychainException($"the macOS keychain refused: {Encoding.UTF8.GetString(text.AsSpan(0, text.IndexOf((byte)0)))} ({status})");
    }

    private static partial class Native
    {
        public const int ItemNotFound = -25300;
        public const uint Utf8 = 0x08000100;
        private const string Security = "/System/Library/Frameworks/Security.framework/Security";
        private const string CoreFoundation = "/System/Library/Frameworks/CoreFoundation.framework/CoreFoundation";

        [LibraryImport(Security, EntryPoint = "SecKeychainFindGenericPassword")]
        public static partial int Find(nint keychains, uint serviceLength, ReadOnlySpan<byte> service, uint accountLength, ReadOnlySpan<byte> account, uint* length, void** data, nint* item);

        [LibraryImport(Security, EntryPoint = "SecKeychainAddGenericPassword")]
        public static partial int Add(nint keychain, uint serviceLength, ReadOnlySpan<byte> service, uint accountLength, ReadOnlySpan<byte> account, uint length, ReadOnlySpan<byte> data, nint* item);

        [LibraryImport(Security, EntryPoint = "SecKeychainItemModifyAttributesAndData")]
        public static partial int Modify(nint item, nint attributes, uint length, ReadOnlySpan<byte> data);

        [LibraryImport(Security, EntryPoint = "SecKeychainItemDelete")]
        public static partial int Delete(nint item);

        [LibraryImport(Security, EntryPoint = "SecKeychainItemFreeContent")]
        public static partial int FreeContent(nint attributes, void* data);

        [LibraryImport(Security, EntryPoint = "SecCopyErrorMessageString")]
        public static partial nint ErrorMessage(int status, nint reserved);

        [LibraryImport(CoreFoundation, EntryPoint = "CFStringGetCString")]
        public static partial byte GetUtf8(nint text, Span<byte> buffer, nint length, uint encoding);

        [LibraryImport(CoreFoundation, EntryPoint = "CFRelease")]
        public static partial void Release(nint instance);
    }
}
