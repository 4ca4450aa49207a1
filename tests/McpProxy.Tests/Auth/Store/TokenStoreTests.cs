using System.Text.Json;
using McpProxy.Auth.Clients;
using McpProxy.Auth.Store;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Auth.Store;

public sealed class TokenStoreTests : IDisposable
{
    private const string Secret = "secret-token";
    private const string Issuer = "https://as.test";

    private static readonly string s_dpopKey = NewDpopKey();

    private readonly TemporaryFolder _root = new();
    private readonly LogCollector _log = new();
    private readonly FakeKeychain _keychain = new();
    private readonly StoreKey _key = new("https://mcp.test/mcp", null, null);

    public void Dispose() => _root.Dispose();

    [Theory]
    [InlineData("file")]
    [InlineData("sealed")]
    [InlineData("memory")]
    [InlineData("safe")]
    public void What_is_written_can_be_read(string kind)
    {
        var memory = new MemoryTokenStore();
        var signIn = SignIn(_key);
        var flow = new StoredFlow { Issuer = Issuer, State = "s", Verifier = "v", Url = "https://as.test/authorize", StartedAt = 5, IsShown = true };
        var store = Open();
        store.Read(_key).ShouldSay(StoredSignIn.For(_key));
        store.ReadFlow(_key).ShouldBeNull();
        store.WriteFlow(_key, null);
        store.Write(_key, signIn);
        store.WriteFlow(_key, flow);

        store = Open();
        store.Read(_key).ShouldSay(signIn);
        store.Read(_key).Current.ShouldNotBeNull().Tokens.ShouldNotBeNull().ToTokens().Scope.ToString().ShouldBe("a b");
        store.ReadFlow(_key).ShouldBe(flow);
        store.Read(Account("work")).Current.ShouldBeNull();
        store.Write(_key, signIn with { Imported = true });
        store.Read(_key).Imported.ShouldBeTrue();
        store.WriteFlow(_key, null);
        store.ReadFlow(_key).ShouldBeNull();
        _log.Warnings.ShouldBeEmpty();

        ITokenStore Open() => kind switch
        {
            "file" => Files(),
            "sealed" => Sealed(),
            "memory" => memory,
            _ => FileTokenStore.Open(TokenStoreKind.File, _root.Path, _log),
        };
    }

    [Theory]
    [InlineData("file")]
    [InlineData("memory")]
    [InlineData("safe")]
    public void A_lock_is_had_by_one_until_it_ends(string kind)
    {
        var one = kind switch { "file" => Files(), "memory" => new MemoryTokenStore(), _ => (ITokenStore)new SafeTokenStore(Files(), _log) };
        var other = kind == "memory" ? one : Files();
        for (var i = 0; i < 2; i++)
        {
            using (one.TryLock(_key, StoreLock.Change).ShouldNotBeNull())
            {
                one.TryLock(_key, StoreLock.Change).ShouldBeNull();
                other.TryLock(_key, StoreLock.Change).ShouldBeNull();
                other.TryLock(_key, StoreLock.SignIn).ShouldNotBeNull().Dispose();
                other.TryLock(Account("work"), StoreLock.Change).ShouldNotBeNull().Dispose();
            }
        }

        _log.Warnings.ShouldBeEmpty();
    }

    [Fact]
    public void Only_the_user_can_read_files_and_folder()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no such modes");
        if (!OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(_root.File("mcp-proxy"), (UnixFileMode)0b111_101_101);
            var store = Sealed();
            using var held = store.TryLock(_key, StoreLock.SignIn);
            store.Write(_key, SignIn(_key));
            store.WriteFlow(_key, new());
            File.GetUnixFileMode(_root.File("mcp-proxy")).ShouldBe((UnixFileMode)0b111_000_000);
            Directory.GetFiles(_root.File("mcp-proxy")).Select(File.GetUnixFileMode).Distinct().ShouldBe([(UnixFileMode)0b110_000_000]);
        }
    }

    [Fact]
    public void Whoever_reads_a_file_while_it_is_replaced_reads_the_whole_old_one()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows does not replace a file that is open");
        var store = Files();
        store.Write(_key, SignIn(_key));
        var before = File.ReadAllText(Path());
        using var reader = new StreamReader(new FileStream(Path(), FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0));
        store.Write(_key, StoredSignIn.For(_key));
        reader.ReadToEnd().ShouldBe(before);
        store.Read(_key).Current.ShouldBeNull();
        Directory.GetFiles(_root.File("mcp-proxy")).ShouldBe([Path()]);
    }

    [Theory]
    [InlineData("")]
    [InlineData("garbage")]
    [InlineData("[]")]
    [InlineData("""{"server":7}""")]
    [InlineData("""{"server":"https://mcp.test/mcp","issuers":null}""")]
    [InlineData("""{"server":"https://mcp.test/mcp","issuer":"x","issuers":{"x":null}}""")]
    [InlineData("""{"server":"https://mcp.test/mcp","issuer":"x","issuers":{"x":{"tokens":{"access_token":null}}}}""")]
    [InlineData("""{"server":"https://mcp.test/mcp","issuer":"x","issuers":{"x":{"client":{"client_id":"c","redirect_uris":null}}}}""")]
    [InlineData("""{"server":"https://mcp.test/mcp","issuer":"x","issuers":{"x":{"dpop_key":"AAAA"}}}""")]
    [InlineData("""{"server":"https://mcp.test/mcp","issuer":"x","issuers":{"x":{"dpop_key":"no base64!"}}}""")]
    [InlineData("""{"sealed":"no base64!"}""")]
    [InlineData("""{"sealed":"AAAA"}""")]
    [InlineData("""{"sealed":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}""")]
    public void A_file_that_cannot_be_read_counts_as_not_there_and_can_be_replaced(string content)
    {
        var store = Sealed();
        store.Write(Account("makes the key"), SignIn(_key));
        File.WriteAllText(Path(), content);
        store.Read(_key).ShouldSay(StoredSignIn.For(_key));
        _log.Warnings.ShouldHaveSingleItem().ShouldContain(Path());
        store.Write(_key, SignIn(_key));
        store.Read(_key).ShouldSay(SignIn(_key));
        store.List().Count().ShouldBe(2);
    }

    [Fact]
    public void A_file_of_another_key_counts_as_not_there()
    {
        var store = Files();
        var other = new StoreKey(_key.Server, "", null);
        store.Write(other, SignIn(other));
        File.Move(Path(other), Path());
        store.Read(_key).ShouldSay(StoredSignIn.For(_key));
    }

    [Fact]
    public void All_that_is_stored_can_be_listed_and_forgotten()
    {
        var store = Sealed();
        store.IsEmpty.ShouldBeTrue();
        store.List().ShouldBeEmpty();
        var work = Account("work");
        store.Write(_key, SignIn(_key));
        store.Write(work, SignIn(work));
        store.WriteFlow(_key, new() { State = "s" });
        File.WriteAllText($"{Path()}.1.tmp", Secret);
        store.IsEmpty.ShouldBeFalse();
        store.List().Select(signIn => signIn.Profile).ShouldBe([null, "work"], ignoreOrder: true);

        store.Clear();
        store.List().ShouldBeEmpty();
        store.ReadFlow(_key).ShouldBeNull();
        Directory.GetFiles(_root.File("mcp-proxy"), "*.tmp").ShouldBeEmpty();
        _keychain.Secrets.ShouldBeEmpty();

        // What another program has stored must not bring it back.
        Files().Read(_key).ShouldSay(StoredSignIn.For(_key) with { Imported = true });
        store.Write(_key, SignIn(_key));
        Sealed().Read(_key).ShouldSay(SignIn(_key));
    }

    [Fact]
    public void Sealed_files_show_nothing_and_open_with_the_key_in_the_keychain_alone()
    {
        Sealed().Write(_key, SignIn(_key));
        File.ReadAllText(Path()).ShouldNotContain(Secret);
        _keychain.Secrets.ShouldHaveSingleItem().Value.Length.ShouldBe(32);
        var content = File.ReadAllText(Path());
        Sealed().Write(_key, SignIn(_key));
        File.ReadAllText(Path()).ShouldNotBe(content);
        Sealed().Read(_key).ShouldSay(SignIn(_key));
        _log.Warnings.ShouldBeEmpty();

        Files().Read(_key).Current.ShouldBeNull();
        new FileTokenStore(_root.Path, new(() => new FakeKeychain(), isRequired: false, _log), _log).Read(_key).Current.ShouldBeNull();
        _keychain.Secrets["token-store"][0] ^= 1;
        Sealed().Read(_key).Current.ShouldBeNull();
        _log.Warnings.Count().ShouldBe(3);
    }

    [Fact]
    public void A_key_that_is_none_is_replaced()
    {
        _keychain.Secrets["token-store"] = [1, 2, 3];
        Sealed().Write(_key, SignIn(_key));
        Sealed().Read(_key).ShouldSay(SignIn(_key));
    }

    [Fact]
    public void Plain_files_are_read_without_the_keychain()
    {
        Files().Write(_key, SignIn(_key));
        Sealed().Read(_key).ShouldSay(SignIn(_key));
        _keychain.Questions.ShouldBe(0);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Without_a_keychain_files_are_plain_unless_it_is_required(bool isLocked)
    {
        _keychain.IsLocked = true;
        var store = Broken(isRequired: false);
        store.Write(_key, SignIn(_key));
        store.Write(_key, SignIn(_key));
        File.ReadAllText(Path()).ShouldContain(Secret);
        _keychain.Questions.ShouldBe(isLocked ? 1 : 0);
        File.Delete(Path());

        Should.Throw<IOException>(() => Broken(isRequired: true).Write(_key, SignIn(_key)));
        File.Exists(Path()).ShouldBeFalse();

        FileTokenStore Broken(bool isRequired) => new(_root.Path, new(() => isLocked ? _keychain : null, isRequired, _log), _log);
    }

    [Fact]
    public void A_keychain_that_does_not_answer_is_not_asked_for_each_file()
    {
        Sealed().Write(_key, SignIn(_key));
        _keychain.IsLocked = true;
        var (store, before) = (Sealed(), _keychain.Questions);
        store.Read(_key).Current.ShouldBeNull();
        store.Read(_key).Current.ShouldBeNull();
        _keychain.Questions.ShouldBe(before + 1);
        File.Exists(Path()).ShouldBeTrue();
    }

    [Fact]
    public void A_store_that_cannot_be_written_goes_on_in_memory()
    {
        File.WriteAllText(_root.File("file"), "");
        var store = FileTokenStore.Open(TokenStoreKind.File, _root.File("file"), _log);
        store.Read(_key).ShouldSay(StoredSignIn.For(_key));
        using (store.TryLock(_key, StoreLock.Change).ShouldNotBeNull())
        {
            store.TryLock(_key, StoreLock.Change).ShouldBeNull();
            store.Write(_key, SignIn(_key));
            store.WriteFlow(_key, new() { State = "s" });
        }

        store.Read(_key).ShouldSay(SignIn(_key));
        store.ReadFlow(_key).ShouldNotBeNull().State.ShouldBe("s");
        _log.Warnings.ShouldHaveSingleItem();
    }

    [Fact]
    public void What_can_be_read_is_not_lost_when_nothing_can_be_written()
    {
        var files = new UnreliableStore();
        var store = new SafeTokenStore(files, _log);
        store.Write(_key, SignIn(_key));
        store.WriteFlow(_key, new() { State = "s" });
        files.IsReadOnly = true;
        using (store.TryLock(_key, StoreLock.Change).ShouldNotBeNull())
        {
            store.TryLock(_key, StoreLock.Change).ShouldBeNull();
        }

        store.Read(_key).ShouldSay(SignIn(_key));
        store.ReadFlow(_key).ShouldNotBeNull().State.ShouldBe("s");
        store.Write(_key, SignIn(_key) with { Imported = true });
        store.Read(_key).Imported.ShouldBeTrue();

        files.IsReadOnly = false;
        store.Write(_key, StoredSignIn.For(_key));
        files.Read(_key).ShouldSay(StoredSignIn.For(_key));
        store.Read(_key).ShouldSay(StoredSignIn.For(_key));
        _log.Warnings.ShouldHaveSingleItem();
    }

    [Fact]
    public void Nobody_is_asked_to_open_the_keychain_before_somebody_has_signed_in()
    {
        var store = Sealed();
        store.WriteFlow(_key, new() { State = "s" });
        store.Write(_key, SignIn(_key), isProvisional: true);
        _keychain.Questions.ShouldBe(0);
        Sealed().Read(_key).ShouldSay(SignIn(_key));

        store.Write(_key, SignIn(_key));
        store.Write(_key, SignIn(_key), isProvisional: true);
        File.ReadAllText(Path()).ShouldNotContain(Secret);

        new FileTokenStore(_root.Path, new(() => new FakeKeychain(), isRequired: true, _log), _log).Write(_key, SignIn(_key), isProvisional: true);
        File.ReadAllText(Path()).ShouldNotContain(Secret);
    }

    [Fact]
    public void A_required_keychain_that_does_not_answer_keeps_secrets_in_memory()
    {
        _keychain.IsLocked = true;
        var store = new SafeTokenStore(new FileTokenStore(_root.Path, new(() => _keychain, isRequired: true, _log), _log), _log);
        store.Write(_key, SignIn(_key));
        store.Read(_key).ShouldSay(SignIn(_key));
        Directory.GetFiles(_root.File("mcp-proxy"), "*.json").ShouldBeEmpty();
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("/somewhere/else")]
    public void The_folder_is_that_of_the_relatives(string? variable) =>
        FileTokenStore.DefaultRoot(name => name == "MCP_REMOTE_CONFIG_DIR" ? variable : null)
            .ShouldBe(string.IsNullOrEmpty(variable) ? System.IO.Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".mcp-auth") : variable);

    [Theory]
    [InlineData("https://mcp.example.com/mcp", null, "mcp.example.com-")]
    [InlineData("https://MCP.example.com:8443/mcp?key=secret", "Work 1", "mcp.example.com_8443-work_1-")]
    [InlineData("https://a.test/", "../../x/ü", "a.test-.._.._x__-")]
    [InlineData("no url", null, "server-")]
    public void Files_have_names_that_a_person_can_read(string server, string? profile, string start)
    {
        var name = new StoreKey(server, null, profile).FileName;
        name.ShouldStartWith(start);
        name.Length.ShouldBe(start.Length + 16);
        name.ShouldNotContain("secret");
        name.ShouldMatch("^[a-z0-9._-]+$");
    }

    [Fact]
    public void Names_differ_as_keys_do_and_stay_the_same()
    {
        StoreKey[] keys =
        [
            _key, new("https://mcp.test/MCP", null, null), new("https://mcp.test/mcp/", null, null), new("https://mcp.test/mcp", "", null), new("https://mcp.test/mcp", "x", null),
            new("https://mcp.test/mcp", null, ""), new("https://mcp.test/mcp", null, "x"), new("https://mcp.test/mcp", null, "X"),
            new($"https://{new string('a', 63)}.{new string('b', 63)}.test/1", null, null), new($"https://{new string('a', 63)}.{new string('b', 63)}.test/2", null, null),
        ];
        keys.Select(key => key.FileName).Distinct(StringComparer.OrdinalIgnoreCase).Count().ShouldBe(keys.Length);
        keys.Select(key => key.Number).Distinct().Count().ShouldBe(keys.Length);
        keys.Max(key => key.FileName.Length).ShouldBeLessThan(80);

        var known = new StoreKey("https://mcp.example.com/mcp", null, null);
        known.FileName.ShouldBe("mcp.example.com-29027efae627b8fe");
        known.Number.ShouldBe(0xe627b8feU);
    }

    private static StoredSignIn SignIn(StoreKey key) => StoredSignIn.For(key).With(Issuer, issuer => issuer with
    {
        Client = new() { ClientId = "c", ClientSecret = "s", RedirectUris = ["http://localhost:1/cb"] },
        Tokens = new() { AccessToken = Secret, RefreshToken = "r", Scope = "a b", ClientId = "c", ObtainedAt = 1, ExpiresAt = 2 },
        Resource = key.Server,
        DpopKey = s_dpopKey,
    });

    private static string NewDpopKey()
    {
        using var key = JwtSigner.Create();
        return key.Export();
    }

    private StoreKey Account(string profile) => new(_key.Server, null, profile);

    private string Path(StoreKey? key = null) => System.IO.Path.Combine(_root.Path, "mcp-proxy", $"{(key ?? _key).FileName}.json");

    private FileTokenStore Files() => new(_root.Path, seal: null, _log);

    private FileTokenStore Sealed() => new(_root.Path, new(() => _keychain, isRequired: false, _log), _log);
}

/// <summary>A store in memory that stands for files which cannot be written at times.</summary>
file sealed class UnreliableStore : ITokenStore
{
    private readonly MemoryTokenStore _inner = new();

    public bool IsReadOnly { get; set; }

    private MemoryTokenStore Writable => IsReadOnly ? throw new UnauthorizedAccessException("read-only") : _inner;

    public StoredSignIn Read(StoreKey key) => _inner.Read(key);

    public void Write(StoreKey key, StoredSignIn signIn, bool isProvisional = false) => Writable.Write(key, signIn);

    public StoredFlow? ReadFlow(StoreKey key) => _inner.ReadFlow(key);

    public void WriteFlow(StoreKey key, StoredFlow? flow) => Writable.WriteFlow(key, flow);

    public IDisposable? TryLock(StoreKey key, StoreLock kind) => Writable.TryLock(key, kind);
}

file static class Saying
{
    /// <summary>Compares what two say: dictionaries and arrays are equal only to themselves.</summary>
    public static void ShouldSay(this StoredSignIn actual, StoredSignIn expected) => JsonSerializer.Serialize(actual).ShouldBe(JsonSerializer.Serialize(expected));
}
