using System.Diagnostics;
using System.Runtime.InteropServices;
using McpProxy.Auth.Keychain;
using Xunit;

namespace McpProxy.Tests.Auth.Keychain;

/// <summary>A session bus and a GNOME keyring that nobody else sees, with their files in a temporary folder.</summary>
internal sealed class PrivateKeyring : IDisposable
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(30);

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("mcp-proxy-keyring-");
    private readonly Process _bus;
    private Process? _daemon;

    public PrivateKeyring()
    {
        Need("dbus-daemon", "gnome-keyring-daemon");
        var socket = Path.Combine(_folder.FullName, "bus");

        // The bus of the machine's own configuration would start programs that ask a person for passwords.
        var configuration = Path.Combine(_folder.FullName, "bus.conf");
        File.WriteAllText(configuration, $"""
            <busconfig>
              <type>session</type>
              <listen>unix:path={socket}</listen>
              <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
            </busconfig>
            """);
        Variables = new Dictionary<string, string?>(StringComparer.Ordinal)
        {
            ["HOME"] = _folder.FullName,
            ["XDG_RUNTIME_DIR"] = _folder.FullName,
            ["XDG_DATA_HOME"] = _folder.FullName,
            ["DBUS_SESSION_BUS_ADDRESS"] = $"unix:path={socket}",
            ["DISPLAY"] = null,
            ["WAYLAND_DISPLAY"] = null,
            ["SECRET_BACKEND"] = null,
            ["SNAP_NAME"] = null,
        };
        _bus = Start("dbus-daemon", "--nofork", $"--config-file={configuration}");
        WaitFor(() => File.Exists(socket), "a session bus");
    }

    /// <summary>What a process needs to find the bus.</summary>
    public IReadOnlyDictionary<string, string?> Variables { get; }

    /// <summary>Skips the test where a program is missing, but not in continuous integration.</summary>
    public static void Need(params string[] programs)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "libsecret is used on Linux only");
        var folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries);
        if (Array.TrueForAll(programs, program => Array.Exists(folders, folder => File.Exists(Path.Combine(folder, program)))) && LibsecretIsThere())
        {
            return;
        }

        const string Remedy = "apt-get install gnome-keyring libsecret-1-0 dbus";
        Assert.False(Environment.GetEnvironmentVariable("CI") == "true", Remedy);
        Assert.Skip(Remedy);
    }

    /// <summary>Starts the keyring, as signing in to a desktop does when it is to be unlocked.</summary>
    public void StartDaemon(bool unlocked)
    {
        _daemon = Start("gnome-keyring-daemon", unlocked ? ["--foreground", "--components=secrets", "--unlock"] : ["--foreground", "--components=secrets"]);
        _daemon.StandardInput.Write("password");
        _daemon.StandardInput.Close();
        using var keychain = new RemoteKeychain(Variables);
        WaitFor(Answers, "a keyring");

        bool Answers()
        {
            try
            {
                keychain.Read("nobody");
                return true;
            }
            catch (KeychainException)
            {
                return false;
            }
        }
    }

    /// <summary>Leaves the keyring there, but silent.</summary>
    public void FreezeDaemon()
    {
        using var kill = Start("sh", "-c", $"kill -STOP {_daemon!.Id}");
        kill.WaitForExit();
    }

    public void StopDaemon() => Stop(_daemon!);

    public void StopBus() => Stop(_bus);

    public void Dispose()
    {
        foreach (var process in new[] { _daemon, _bus }.OfType<Process>())
        {
            Stop(process);
            process.Dispose();
        }

        _folder.Delete(recursive: true);
    }

    private static bool LibsecretIsThere() => NativeLibrary.TryLoad("libsecret-1.so.0", out _);

    private static void Stop(Process process)
    {
        process.Kill();
        process.WaitForExit();
    }

    private static void WaitFor(Func<bool> condition, string what)
    {
        var clock = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(clock.Elapsed < s_timeout, $"{what} did not start");
            Thread.Sleep(10);
        }
    }

    private Process Start(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (name, value) in Variables)
        {
            start.Environment[name] = value;
        }

        return Process.Start(start)!;
    }
}
