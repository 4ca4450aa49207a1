using System.Globalization;
using McpProxy.Auth;
using McpProxy.Auth.Store;
using McpProxy.Transports.Http;
using Microsoft.Extensions.Logging;

namespace McpProxy.Cli.SignIn;

/// <summary>Shows and forgets what is stored of sign-ins.</summary>
internal static class StoredSignIns
{
    /// <summary>Prints what is stored: no secret among it.</summary>
    public static int Show(TokenStoreKind kind, ILoggerFactory loggers, TimeProvider time)
    {
        var root = FileTokenStore.DefaultRoot(Environment.GetEnvironmentVariable);
        var signIns = FileTokenStore.OpenFiles(kind, root, loggers.CreateLogger(HttpUpstream.SignInCategory)).List()
            .Where(signIn => signIn.Current?.Tokens is not null || signIn.Issuers.Values.Any(issuer => issuer.Client is not null)).ToList();
        if (signIns.Count == 0)
        {
            Console.WriteLine($"No sign-ins are stored in {root}.");
        }

        foreach (var signIn in signIns)
        {
            Console.WriteLine($"{signIn.Server}{(signIn.Profile is null ? "" : $"  (profile {signIn.Profile})")}");
            foreach (var (issuer, stored) in signIn.Issuers)
            {
                Console.WriteLine($"  authorization server  {issuer}");
                Console.WriteLine($"  client                {stored.Tokens?.ClientId ?? stored.Client?.ClientId}");
                Console.WriteLine($"  resource              {stored.Resource ?? "(none)"}");
                Console.WriteLine($"  scope                 {stored.Tokens?.Scope ?? "(none)"}");
                Console.WriteLine($"  signed in             {State(stored.Tokens, time.GetUtcNow())}");
            }
        }

        return ExitCode.Success;
    }

    /// <summary>Forgets everything.</summary>
    public static int Reset(TokenStoreKind kind, ILoggerFactory loggers)
    {
        var root = FileTokenStore.DefaultRoot(Environment.GetEnvironmentVariable);
        try
        {
            FileTokenStore.OpenFiles(kind, root, loggers.CreateLogger(HttpUpstream.SignInCategory)).Clear();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"mcp-proxy: the sign-ins in {root} cannot be forgotten: {e.Message}");
            return ExitCode.Failure;
        }

        Console.WriteLine($"All sign-ins in {root} are forgotten.");
        return ExitCode.Success;
    }

    private static string State(StoredTokens? tokens, DateTimeOffset now)
    {
        if (tokens is null)
        {
            return "no";
        }

        var renewal = tokens.RefreshToken is null ? "cannot be renewed" : "is renewed by itself";
        return UnixTime.FromMilliseconds(tokens.ExpiresAt) is not { } until ? "yes, without an end that is known"
            : until > now ? $"yes, until {Time(until)}; {renewal}"
            : $"ended {Time(until)}; {renewal}";
    }

    private static string Time(DateTimeOffset time) => time.ToLocalTime().ToString("yyyy-MM-dd HH:mm:ss zzz", CultureInfo.InvariantCulture);
}
