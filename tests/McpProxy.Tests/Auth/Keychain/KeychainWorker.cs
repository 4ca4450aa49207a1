using System.Runtime.CompilerServices;
using McpProxy.Auth.Keychain;

namespace McpProxy.Tests.Auth.Keychain;

/// <summary>
/// This test program, started once more with an environment of its own: libsecret takes the address of its bus from the
/// environment that the process began with, and stays connected.
/// </summary>
internal static class KeychainWorker
{
    /// <summary>Whoever starts the program with this variable wants no tests to be run.</summary>
    public const string Variable = "MCP_PROXY_TEST_KEYCHAIN_WORKER";

    [ModuleInitializer]
    internal static void RunIfAsked()
    {
        if (Environment.GetEnvironmentVariable(Variable) is null)
        {
            return;
        }

        while (Console.In.ReadLine() is { } line)
        {
            try
            {
                Console.Out.WriteLine($"ok {Perform(line.Split(' '))}");
            }
            catch (KeychainException e)
            {
                Console.Out.WriteLine($"failed {e.Message.ReplaceLineEndings(" ")}");
            }
        }

        Environment.Exit(0);
    }

    private static string? Perform(string[] words)
    {
        var keychain = SystemKeychain.Find();
        switch (words)
        {
            case ["name"]:
                return keychain?.Name;
            case ["read", var account]:
                return keychain!.Read(account) is { } secret ? Convert.ToBase64String(secret) : null;
            case ["write", var account, var text]:
                keychain!.Write(account, Convert.FromBase64String(text));
                return null;
            case ["delete", var account]:
                keychain!.Delete(account);
                return null;
            default:
                throw new InvalidOperationException(string.Join(' ', words));
        }
    }
}
