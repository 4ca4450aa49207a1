using System.Globalization;
using McpProxy.JsonRpc;
using McpProxy.Relay;
using McpProxy.Transports;
using McpProxy.Transports.Stdio;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Stdio;

/// <summary>Real children, started and ended.</summary>
public sealed class ChildProcessConnectionTests
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task A_program_that_does_not_exist_is_named()
    {
        SkipOnWindows();
        await using var connection = Connect("no-such-program-anywhere");
        var end = await connection.RunAsync(new Ignore(), TestContext.Current.CancellationToken);
        end.Reason.ShouldBe(ConnectionEndReason.StartFailed);
        end.Detail.ShouldContain("no-such-program-anywhere");
    }

    [Fact]
    public async Task Who_asks_a_server_that_could_not_be_started_is_told_why()
    {
        SkipOnWindows();
        var client = new FakePeer();
        var session = Run(client, Connect("no-such-program-anywhere"));
        await client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"initialize"}""");
        (await client.NextJsonAsync()).ShouldContain("no-such-program-anywhere");
        (await session.WaitAsync(s_timeout, TestContext.Current.CancellationToken)).End.Reason.ShouldBe(ConnectionEndReason.StartFailed);
    }

    [Fact]
    public async Task Arguments_reach_the_child_verbatim()
    {
        SkipOnWindows();
        const string Nasty = "a b\"c'd$(touch x)`y`&|;*\\ é\u2028";
        var client = new FakePeer();
        var session = Run(client, Connect("/bin/sh", "-c", """
            read line; printf '{"jsonrpc":"2.0","id":1,"result":"%s"}\n' "$(printf %s "$1" | od -An -tx1 | tr -d ' \n')"; read line
            """, "sh", Nasty));
        await client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"x"}""");
        (await client.NextJsonAsync()).ShouldContain(Convert.ToHexStringLower(System.Text.Encoding.UTF8.GetBytes(Nasty)));
        client.End(ConnectionEndReason.PeerClosed, "done");
        await session.WaitAsync(s_timeout, TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Noise_on_standard_output_is_skipped_and_standard_error_is_drained()
    {
        SkipOnWindows();
        var client = new FakePeer();
        var session = Run(client, Connect("/bin/sh", "-c", """
            read line; echo 'Server starting...'; head -c 300000 /dev/zero | tr '\0' 'e' >&2; echo '{"log":"json but no message"}'; echo; printf '{"jsonrpc":"2.0","id":1,"result":{}}\r\n'; read line
            """));
        await client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"x"}""");
        (await client.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":1,"result":{}}""");
        client.End(ConnectionEndReason.PeerClosed, "done");
        await session.WaitAsync(s_timeout, TestContext.Current.CancellationToken);
        client.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task An_answer_that_is_broken_is_an_error_and_not_a_wait()
    {
        SkipOnWindows();
        var client = new FakePeer();
        var session = Run(client, Connect("/bin/sh", "-c", """
            read line; printf '{"jsonrpc":"2.0","id":1,"result":"\351"}\n'; read line; printf '{"jsonrpc":"2.0","id":2,"result":{oops}}\n'; read line
            """));
        await client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"x"}""");
        (await client.NextJsonAsync()).ShouldContain("\"id\":1,\"error\"");
        await client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"x"}""");
        (await client.NextJsonAsync()).ShouldContain("\"id\":2,\"error\"");
        client.End(ConnectionEndReason.PeerClosed, "done");
        await session.WaitAsync(s_timeout, TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task A_child_that_dies_answers_what_is_in_flight_with_its_exit_code_and_last_words()
    {
        SkipOnWindows();
        var client = new FakePeer();
        var session = Run(client, Connect("/bin/sh", "-c", "read line; echo 'out of cheese' >&2; exit 7"));
        await client.SayAsync("""{"jsonrpc":"2.0","id":"a","method":"tools/call"}""");
        var answer = await client.NextJsonAsync();
        answer.ShouldContain("\"id\":\"a\"");
        answer.ShouldContain("code 7");
        answer.ShouldContain("out of cheese");
        var end = await session.WaitAsync(s_timeout, TestContext.Current.CancellationToken);
        end.ByUpstream.ShouldBeTrue();
        end.End.ExitCode.ShouldBe(7);
    }

    [Fact]
    public async Task Nothing_survives_a_child_that_ignores_the_end_of_input_and_sigterm()
    {
        SkipOnWindows();
        var client = new FakePeer();
        var connection = Connect("/bin/sh", "-c", """
            trap '' TERM; sh -c 'trap "" TERM; while :; do sleep 1; done' & printf '{"jsonrpc":"2.0","method":"pids","params":[%s,%s]}\n' $$ $!; while :; do sleep 1; done
            """);
        var session = Run(client, connection);
        var json = await client.NextJsonAsync();
        var pids = json[(json.IndexOf('[', StringComparison.Ordinal) + 1)..json.IndexOf(']', StringComparison.Ordinal)].Split(',').Select(text => int.Parse(text, CultureInfo.InvariantCulture)).ToList();
        pids.ShouldAllBe(pid => IsAlive(pid));
        client.End(ConnectionEndReason.PeerClosed, "done");
        await session.WaitAsync(s_timeout, TestContext.Current.CancellationToken);

        // Killed processes are gone when whoever reaps orphans has done so.
        using var timeout = new CancellationTokenSource(s_timeout);
        while (pids.Exists(IsAlive))
        {
            timeout.Token.ThrowIfCancellationRequested();
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public async Task The_environment_is_minimal_unless_told_otherwise()
    {
        SkipOnWindows();
        Environment.SetEnvironmentVariable("SOMEBODYS_TEST_SECRET", "secret");
        (await EnvironmentOfChildAsync(passEnvironment: false)).ShouldBe("none,given,yes");
        (await EnvironmentOfChildAsync(passEnvironment: true)).ShouldBe("secret,given,yes");

        static async Task<string> EnvironmentOfChildAsync(bool passEnvironment)
        {
            var client = new FakePeer();
            var upstream = new StdioUpstream(new()
            {
                Command = "sh",
                Arguments = ["-c", """read line; printf '{"jsonrpc":"2.0","id":1,"result":"%s,%s,%s"}\n' "${SOMEBODYS_TEST_SECRET:-none}" "$EXTRA" "${PATH:+yes}"; read line"""],
                Environment = new Dictionary<string, string>(StringComparer.Ordinal) { ["EXTRA"] = "given" },
                PassEnvironment = passEnvironment,
            });
            var session = Run(client, upstream.Connect());
            await client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"x"}""");
            var answer = await client.NextJsonAsync();
            client.End(ConnectionEndReason.PeerClosed, "done");
            await session.WaitAsync(s_timeout);
            return answer.Split('"')[^2];
        }
    }

    private static void SkipOnWindows() => Assert.SkipWhen(OperatingSystem.IsWindows(), "the children of these tests are Unix shells");

    private static IConnection Connect(string command, params string[] arguments) =>
        new StdioUpstream(new() { Command = command, Arguments = arguments, CloseGrace = TimeSpan.FromMilliseconds(100), TerminateGrace = TimeSpan.FromMilliseconds(100) }).Connect();

    private static Task<RelayEnd> Run(FakePeer client, IConnection child) => new RelaySession(client, child).RunAsync(TestContext.Current.CancellationToken);

    private static bool IsAlive(int pid)
    {
        try
        {
            // A zombie is gone in every way that matters.
            return !File.ReadAllText($"/proc/{pid}/stat").Split(')')[^1].TrimStart().StartsWith('Z');
        }
        catch (IOException)
        {
            return false;
        }
    }

    private sealed class Ignore : IMessageReceiver
    {
        public ValueTask ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken) => ValueTask.CompletedTask;

        public ValueTask FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken) => ValueTask.CompletedTask;

        public ValueTask AbandonedAsync(string reason, CancellationToken cancellationToken) => ValueTask.CompletedTask;
    }
}
