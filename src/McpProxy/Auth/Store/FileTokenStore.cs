using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using McpProxy.Auth.Keychain;
using Microsoft.Extensions.Logging;

namespace McpProxy.Auth.Store;

/// <summary>
/// Keeps sign-ins in a folder of ours inside the folder that mcp-remote and its relatives use: a file for each server, and
/// one for a sign-in under way. Only the user can read them; a file is replaced as a whole.
/// </summary>
internal sealed partial class FileTokenStore : ITokenStore
{
    private const string SignInSuffix = ".json";
    private const string FlowSuffix = ".signin.json";
    private const string ForgottenName = "forgotten";
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly string _folder;
    private readonly SealSource? _seal;
    private readonly ILogger _logger;

    /// <summary>Makes a store.</summary>
    /// <param name="root">The folder that programs of this kind share, such as <c>~/.mcp-auth</c>.</param>
    /// <param name="seal">What files are sealed with; null to write them as they are.</param>
    /// <param name="logger">Where warnings go.</param>
    public FileTokenStore(string root, SealSource? seal, ILogger logger)
    {
        _folder = Path.Combine(root, "mcp-proxy");
        _seal = seal;
        _logger = logger;
    }

    /// <summary>Makes the store that the options ask for.</summary>
    public static ITokenStore Open(TokenStoreKind kind, string root, ILogger logger) =>
        kind == TokenStoreKind.Memory ? new MemoryTokenStore() : new SafeTokenStore(OpenFiles(kind, root, logger), logger);

    /// <summary>Makes the store in files.</summary>
    public static FileTokenStore OpenFiles(TokenStoreKind kind, string root, ILogger logger) =>
        new(root, kind == TokenStoreKind.File ? null : new(SystemKeychain.Find, isRequired: kind == TokenStoreKind.Keychain, logger), logger);

    /// <summary>The folder that programs of this kind share: <c>MCP_REMOTE_CONFIG_DIR</c>, or <c>~/.mcp-auth</c>.</summary>
    public static string DefaultRoot(Func<string, string?> environment) =>
        environment("MCP_REMOTE_CONFIG_DIR") is { Length: > 0 } folder ? folder
        : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile, Environment.SpecialFolderOption.DoNotVerify), ".mcp-auth");

    /// <summary>Whether anything is stored by this program or another: without, nothing needs to be looked up.</summary>
    public bool IsEmpty => !Directory.Exists(_folder);

    public StoredSignIn Read(StoreKey key)
    {
        var empty = StoredSignIn.For(key) with { Imported = File.Exists(Path.Combine(_folder, ForgottenName)) };
        var signIn = Read(PathOf(key, SignInSuffix), static () => StoreJson.Default.StoredSignIn, read => read.Checked());
        return signIn?.IsOf(key) == true ? signIn : empty;
    }

    public void Write(StoreKey key, StoredSignIn signIn, bool isProvisional = false) => Write(PathOf(key, SignInSuffix), signIn, StoreJson.Default.StoredSignIn, isProvisional);

    public StoredFlow? ReadFlow(StoreKey key) => Read(PathOf(key, FlowSuffix), static () => StoreJson.Default.StoredFlow, read => read.Checked());

    public void WriteFlow(StoreKey key, StoredFlow? flow)
    {
        var path = PathOf(key, FlowSuffix);
        if (flow is not null)
        {
            Write(path, flow, StoreJson.Default.StoredFlow, isProvisional: true);
        }
        else if (File.Exists(path))
        {
            Insist(() => File.Delete(path));
        }
    }

    public IDisposable? TryLock(StoreKey key, StoreLock kind)
    {
        CreateFolder();
        try
        {
            // The lock is the open file: the operating system ends it with the process, however that ends.
            return new FileStream(PathOf(key, kind == StoreLock.Change ? ".lock" : ".signin.lock"), NewFile(FileMode.OpenOrCreate, FileShare.None));
        }
        catch (IOException e) when (IsInUse(e))
        {
            return null;
        }
    }

    /// <summary>All that is stored.</summary>
    public IEnumerable<StoredSignIn> List() =>
        IsEmpty ? []
        : Directory.EnumerateFiles(_folder, $"*{SignInSuffix}")
            .Where(path => !path.EndsWith(FlowSuffix, StringComparison.Ordinal))
            .Order(StringComparer.Ordinal)
            .Select(path => Read(path, static () => StoreJson.Default.StoredSignIn, read => read.Checked()))
            .OfType<StoredSignIn>();

    /// <summary>Forgets everything, also what another program's store would bring back.</summary>
    public void Clear()
    {
        CreateFolder();
        foreach (var path in Directory.EnumerateFiles(_folder, "*.json").Concat(Directory.EnumerateFiles(_folder, "*.tmp")))
        {
            File.Delete(path);
        }

        _seal?.Forget();
        File.WriteAllText(Path.Combine(_folder, ForgottenName), "Sign-ins that mcp-remote stored are not taken over any more.\n");
    }

    private void OnlyOne(Action act)
    {
        while (true)
        {
            try
            {
                using var held = new FileStream(Path.Combine(_folder, "keychain.lock"), NewFile(FileMode.OpenOrCreate, FileShare.None));
                act();
                return;
            }
            catch (IOException e) when (e is not KeychainException && IsInUse(e))
            {
                Thread.Yield();
            }
        }
    }

    private static FileStreamOptions NewFile(FileMode mode, FileShare share)
    {
        var options = new FileStreamOptions { Mode = mode, Access = FileAccess.ReadWrite, Share = share, BufferSize = 0 };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = OwnerOnly;
        }

        return options;
    }

    /// <summary>Whether opening failed because another process holds the file: a sharing violation, or <c>EWOULDBLOCK</c> of Linux and macOS.</summary>
    private static bool IsInUse(IOException e) => e is not (FileNotFoundException or DirectoryNotFoundException) && (e.HResult & 0xFFFF) is 11 or 32 or 33 or 35;

    private string PathOf(StoreKey key, string suffix) => Path.Combine(_folder, key.FileName + suffix);

    /// <param name="path">The file.</param>
    /// <param name="type">Says how to read it. Not asked where there is no file, since to find out takes a noticeable part of a start.</param>
    /// <param name="check">Refuses what would do harm.</param>
    private T? Read<T>(string path, Func<JsonTypeInfo<T>> type, Func<T, T> check)
        where T : class
    {
        try
        {
            if (!File.Exists(path))
            {
                return null;
            }

            var bytes = ReadShared(path);
            if (JsonSerializer.Deserialize(bytes, StoreJson.Default.SealedFile) is { Sealed.Length: > 0 } file)
            {
                bytes = (_seal ?? throw new CryptographicException("it is sealed by a key in the keychain, which is not used now (--token-store)")).ForReading().Open(file.Sealed);
            }

            return JsonSerializer.Deserialize(bytes, type()) is { } read ? check(read) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or CryptographicException or FormatException)
        {
            LogUnreadable(path, e.Message);
            return null;
        }
    }

    private void Write<T>(string path, T value, JsonTypeInfo<T> type, bool isProvisional)
    {
        CreateFolder();
        var bytes = JsonSerializer.SerializeToUtf8Bytes(value, type);
        if (_seal?.ForWriting(OnlyOne, isProvisional) is { } seal)
        {
            bytes = JsonSerializer.SerializeToUtf8Bytes(new SealedFile { Sealed = seal.Close(bytes) }, StoreJson.Default.SealedFile);
        }

        var temporary = $"{path}.{Environment.ProcessId}.tmp";
        File.Delete(temporary);
        using (var stream = new FileStream(temporary, NewFile(FileMode.CreateNew, FileShare.None)))
        {
            stream.Write(bytes);
            stream.Flush(flushToDisk: true);
        }

        Insist(() => File.Move(temporary, path, overwrite: true));
    }

    /// <summary>On Windows a file that another process is just reading cannot be replaced for a moment, whoever that is.</summary>
    private static void Insist(Action act)
    {
        const int Attempts = 20;
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                act();
                return;
            }
            catch (Exception e) when (OperatingSystem.IsWindows() && attempt < Attempts && e is IOException or UnauthorizedAccessException)
            {
                Thread.Sleep(TimeSpan.FromMilliseconds(10));
            }
        }
    }

    private static byte[] ReadShared(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var buffer = new MemoryStream();
        stream.CopyTo(buffer);
        return buffer.ToArray();
    }

    private void CreateFolder()
    {
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(_folder);
        }
        else
        {
            const UnixFileMode Mode = OwnerOnly | UnixFileMode.UserExecute;
            Directory.CreateDirectory(Path.GetDirectoryName(_folder)!, Mode);
            if (Directory.CreateDirectory(_folder, Mode).UnixFileMode != Mode)
            {
                File.SetUnixFileMode(_folder, Mode);
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Path} cannot be read and counts as not there: {Reason}")]
    private partial void LogUnreadable(string path, string reason);
}
