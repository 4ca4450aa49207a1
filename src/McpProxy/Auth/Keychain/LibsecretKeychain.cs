using System.Buffers.Text;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Security.Cryptography;

namespace McpProxy.Auth.Keychain;

/// <summary>The Secret Service of a desktop (GNOME Keyring, KWallet, KeePassXC), by way of libsecret.</summary>
[SupportedOSPlatform("linux")]
internal sealed unsafe partial class LibsecretKeychain : IKeychain
{
    // Whoever reads may have nobody at the screen to answer a prompt. A write follows a sign-in: somebody is there, who may have to think of a password.
    private static readonly TimeSpan s_readPatience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_writePatience = TimeSpan.FromSeconds(60);

    // One prompt is enough: whoever comes while it is open waits for its answer.
    private static readonly SemaphoreSlim s_turn = new(1);

    public string Name => "Secret Service keyring";

    public static bool IsLikelyThere()
    {
        // Without either of these, GLib would try to start a bus by itself.
        var hasBus = !string.IsNullOrEmpty(Environment.GetEnvironmentVariable("DBUS_SESSION_BUS_ADDRESS"))
            || (Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") is { Length: > 0 } folder && File.Exists(Path.Combine(folder, "bus")));

        // The search is the youngest of the functions used.
        return hasBus && NativeLibrary.TryLoad(Native.Secret, out var library) && NativeLibrary.TryGetExport(library, Native.SearchEntryPoint, out _);
    }

    public byte[]? Read(string account) => Wait(s_readPatience, () =>
    {
        var text = Lookup(account);
        if (text is null)
        {
            return null;
        }

        try
        {
            var encoded = MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text);
            if (!Base64.IsValid(encoded, out var length))
            {
                throw new KeychainException($"the keyring's entry for {SystemKeychain.Service} ({account}) is not one that {SystemKeychain.Service} wrote");
            }

            var secret = new byte[length];
            Base64.DecodeFromUtf8(encoded, secret, out _, out _);
            return secret;
        }
        finally
        {
            Native.FreePassword(text);
        }
    });

    public void Write(string account, ReadOnlySpan<byte> secret)
    {
        // Pinned, because a copy that the garbage collector leaves behind would not be wiped.
        var text = GC.AllocateArray<byte>(Base64.GetMaxEncodedToUtf8Length(secret.Length) + 1, pinned: true);
        Base64.EncodeToUtf8(secret, text, out _, out _);
        Wait(s_writePatience, () =>
        {
            try
            {
                return Ask(account, (attributes, error) => Native.Store(0, attributes, null, SystemKeychain.Service, Marshal.UnsafeAddrOfPinnedArrayElement(text, 0), 0, error));
            }
            finally
            {
                CryptographicOperations.ZeroMemory(text);
            }
        });
    }

    public void Delete(string account) => Wait(s_writePatience, () =>
    {
        // Only what is unlocked is cleared, and a lookup unlocks.
        var text = Lookup(account);
        Native.FreePassword(text);
        return text is null ? 0 : Ask(account, static (attributes, error) => Native.Clear(0, attributes, 0, error));
    });

    /// <summary>
    /// Gives up waiting, and not the call: to cancel it would take back the prompt, and GNOME Keyring (up to 50 at least)
    /// aborts when that happens. A prompt that is answered too late serves the next call.
    /// </summary>
    private static T Wait<T>(TimeSpan patience, Func<T> call)
    {
        var silence = $"the keyring did not answer within {patience.TotalSeconds} s; it may be waiting for its password";
        if (!s_turn.Wait(patience))
        {
            throw new KeychainException(silence);
        }

        var answer = default(T);
        ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                answer = call();
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }
            finally
            {
                s_turn.Release();
            }
        })
        { IsBackground = true };
        thread.Start();
        if (!thread.Join(patience))
        {
            throw new KeychainException(silence);
        }

        failure?.Throw();
        return answer!;
    }

    private static byte* Lookup(string account)
    {
        var text = Ask(account, static (attributes, error) => Native.Lookup(0, attributes, 0, error));
        if (text == 0)
        {
            // A refused unlocking looks like a missing secret, and whoever is told that none is there makes a new one over it.
            var items = Ask(account, static (attributes, error) => Native.Search(0, attributes, 0, 0, error));
            if (items != 0)
            {
                Native.FreeList(items, Functions.ObjectUnref);
                throw new KeychainException("the keyring is locked");
            }
        }

        return (byte*)text;
    }

    private static nint Ask(string account, Func<nint, nint, nint> call)
    {
        var attributes = Native.NewHashTable(Functions.StringHash, Functions.StringEqual, Functions.Free, Functions.Free);
        Native.Insert(attributes, Native.Duplicate("service"), Native.Duplicate(SystemKeychain.Service));
        Native.Insert(attributes, Native.Duplicate("account"), Native.Duplicate(account));
        GError* error = null;
        var answer = call(attributes, (nint)(&error));
        Native.UnrefHashTable(attributes);
        if (error is null)
        {
            return answer;
        }

        var message = Marshal.PtrToStringUTF8(error->Message);
        Native.FreeError(error);

        // Without a main loop libsecret does not notice that the keyring was started anew.
        Native.Disconnect();
        throw new KeychainException($"the keyring failed: {message}");
    }

    [StructLayout(LayoutKind.Sequential)]
    private readonly struct GError
    {
        public readonly uint Domain;
        public readonly int Code;
        public readonly nint Message;
    }

    /// <summary>Functions of GLib that are handed to GLib.</summary>
    private static class Functions
    {
        private static readonly nint s_glib = NativeLibrary.Load(Native.GLib);

        public static readonly nint StringHash = NativeLibrary.GetExport(s_glib, "g_str_hash");
        public static readonly nint StringEqual = NativeLibrary.GetExport(s_glib, "g_str_equal");
        public static readonly nint Free = NativeLibrary.GetExport(s_glib, "g_free");
        public static readonly nint ObjectUnref = NativeLibrary.GetExport(NativeLibrary.Load(Native.GObject), "g_object_unref");
    }

    private static partial class Native
    {
        public const string Secret = "libsecret-1.so.0";
        public const string GLib = "libglib-2.0.so.0";
        public const string GObject = "libgobject-2.0.so.0";
        public const string SearchEntryPoint = "secret_password_searchv_sync";

        [LibraryImport(Secret, EntryPoint = "secret_password_lookupv_sync")]
        public static partial nint Lookup(nint schema, nint attributes, nint cancellable, nint error);

        [LibraryImport(Secret, EntryPoint = SearchEntryPoint)]
        public static partial nint Search(nint schema, nint attributes, int flags, nint cancellable, nint error);

        [LibraryImport(Secret, EntryPoint = "secret_password_storev_sync", StringMarshalling = StringMarshalling.Utf8)]
        public static partial int Store(nint schema, nint attributes, string? collection, string label, nint password, nint cancellable, nint error);

        [LibraryImport(Secret, EntryPoint = "secret_password_clearv_sync")]
        public static partial int Clear(nint schema, nint attributes, nint cancellable, nint error);

        [LibraryImport(Secret, EntryPoint = "secret_password_free")]
        public static partial void FreePassword(byte* password);

        [LibraryImport(Secret, EntryPoint = "secret_service_disconnect")]
        public static partial void Disconnect();

        [LibraryImport(GLib, EntryPoint = "g_hash_table_new_full")]
        public static partial nint NewHashTable(nint hash, nint equal, nint freeKey, nint freeValue);

        [LibraryImport(GLib, EntryPoint = "g_hash_table_insert")]
        [return: MarshalAs(UnmanagedType.Bool)]
        public static partial bool Insert(nint table, nint key, nint value);

        [LibraryImport(GLib, EntryPoint = "g_hash_table_unref")]
        public static partial void UnrefHashTable(nint table);

        [LibraryImport(GLib, EntryPoint = "g_strdup", StringMarshalling = StringMarshalling.Utf8)]
        public static partial nint Duplicate(string text);

        [LibraryImport(GLib, EntryPoint = "g_error_free")]
        public static partial void FreeError(GError* error);

        [LibraryImport(GLib, EntryPoint = "g_list_free_full")]
        public static partial void FreeList(nint list, nint freeItem);
    }
}
