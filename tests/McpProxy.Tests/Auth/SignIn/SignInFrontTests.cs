using System.Net;
using System.Text;
using System.Threading.Channels;
using McpProxy.Auth;
using McpProxy.Auth.SignIn;
using McpProxy.Auth.Store;
using McpProxy.JsonRpc;
using McpProxy.Transports;
using McpProxy.Transports.Http;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Auth.SignIn;

public sealed class SignInFrontTests : IAsyncDisposable
{
    private const string Initialize = """{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{"roots":{}}}}""";
    private const string Initialized = """{"jsonrpc":"2.0","method":"notifications/initialized"}""";
    private const string Call = """{"jsonrpc":"2.0","id":"call","method":"tools/call","params":{"name":"x"}}""";
    private const string ListTools = """{"jsonrpc":"2.0","id":1,"method":"tools/list"}""";
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(20);

    private readonly ManualTime _time = new();
    private readonly FakeHttp _http;
    private readonly HttpMessageInvoker _invoker;
    private readonly Browser _browser = new();
    private readonly OAuthAuthorization _authorization;
    private readonly FakePeer _inner = new();
    private readonly Client _client = new();
    private readonly SignInFront _front;
    private readonly Task _running;
    private readonly Queue<string> _introductions = new();
    private Uri? _page;

    public SignInFrontTests()
    {
        // A server of the oldest kind: it says nothing about how it is protected, and authorizes itself.
        _http = new(request => request.Url.AbsolutePath switch
        {
            "/register" => FakeHttp.Json("""{"client_id":"c"}""", 201),
            "/token" => FakeHttp.Json("""{"access_token":"at","token_type":"Bearer"}"""),
            _ => FakeHttp.Status(404),
        });
        _invoker = new(_http);
        var context = new OAuthContext(new($"https://mcp.test/{Guid.NewGuid()}"), new(), _invoker, new MemoryTokenStore(), _time, NullLogger.Instance);
        _authorization = new(context, new(Path.Combine(Path.GetTempPath(), Guid.NewGuid().ToString()), NullLogger.Instance), _browser);
        _front = new(_inner, _authorization, "https://mcp.test", NullLogger.Instance);
        _inner.Answer = message => message.Is("initialize"u8) && _introductions.TryDequeue(out var introduction) ? introduction : null;
        _running = _front.RunAsync(_client, CancellationToken.None);
    }

    public async ValueTask DisposeAsync()
    {
        await _front.DisposeAsync();
        await _running.WaitAsync(s_timeout);
        await _authorization.DisposeAsync();
        _invoker.Dispose();
    }

    [Fact]
    public async Task A_server_that_lets_the_client_in_speaks_for_itself()
    {
        _introductions.Enqueue(Introduction("{}"));
        await SendAsync(Initialize, Initialized, ListTools);
        (await SentAsync(3)).ShouldBe([Initialize, Initialized, ListTools]);
        (await _client.NextAsync()).ShouldBe(Introduction("{}"));
        await _inner.SayAsync(Result("1", "{}"));
        (await _client.NextAsync()).ShouldBe(Result("1", "{}"));
        _client.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task Nothing_overtakes_the_introduction()
    {
        await SendAsync(Initialize, Initialized, ListTools);
        (await SentAsync(1)).ShouldBe([Initialize]);
        _inner.HasNothingMore.ShouldBeTrue();
        await _inner.SayAsync(Introduction("{}"));
        (await SentAsync(2)).ShouldBe([Initialized, ListTools]);
        (await _client.NextAsync()).ShouldBe(Introduction("{}"));
        _client.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task What_followed_the_introduction_too_early_is_held_with_the_rest()
    {
        var refusal = await BeginSignInAsync();
        await SendAsync(Initialize, Initialized, ListTools);
        _introductions.Enqueue(Introduction("""{"tools":{}}"""));
        await _inner.SayAsync(Encoding.UTF8.GetString(refusal.AnswerFor(Message(Initialize).Id).Utf8.Span));
        (await _client.NextAsync()).ShouldContain("listChanged");
        (await _client.NextAsync()).ShouldContain("https://mcp.test/authorize?");
        await ApproveAsync();
        (await SentAsync(4)).ShouldBe([Initialize, Initialize, Initialized, ListTools]);
    }

    [Fact]
    public async Task A_malformed_introduction_holds_up_nothing()
    {
        await SendAsync(Initialize);
        await _inner.FaultAsync(new(-32603, "malformed", Message(Initialize).Id, IsResponse: true));
        (await _client.NextAsync()).ShouldBe("malformed");
        await SendAsync(ListTools);
        (await SentAsync(2)).ShouldBe([Initialize, ListTools]);
    }

    [Fact]
    public async Task A_malformed_introduction_after_the_sign_in_is_tried_again_when_the_user_wants_something()
    {
        await TakeOverAsync();
        await _client.NextAsync();
        _introductions.Clear();
        await SendAsync(ListTools);
        await ApproveAsync();
        (await SentAsync(2)).ShouldBe([Initialize, Initialize]);
        await _inner.FaultAsync(new(-32603, "malformed", Message(Initialize).Id, IsResponse: true));
        (await _client.NextAsync()).ShouldStartWith("""{"jsonrpc":"2.0","id":1,"error":{""");
        _introductions.Enqueue(Introduction("{}"));
        await SendAsync(Call);
        (await SentAsync(2)).ShouldBe([Initialize, Call]);
    }

    [Fact]
    public async Task A_client_that_introduces_itself_again_is_answered_again_and_the_server_hears_its_last_word()
    {
        await TakeOverAsync();
        await _client.NextAsync();
        var again = Initialize.Replace("\"id\":0", "\"id\":\"again\"", StringComparison.Ordinal);
        await SendAsync(again, ListTools);
        (await _client.NextAsync()).ShouldStartWith("""{"jsonrpc":"2.0","id":"again","result":{"protocolVersion":"2025-06-18",""");
        _introductions.Clear();
        _introductions.Enqueue(Introduction("""{"tools":{}}""").Replace("\"id\":0", "\"id\":\"again\"", StringComparison.Ordinal));
        await ApproveAsync();
        (await SentAsync(3)).ShouldBe([Initialize, again, ListTools]);
    }

    [Theory]
    [InlineData(-32010, false)]
    [InlineData(-32602, true)]
    public async Task An_error_that_no_sign_in_will_mend_is_passed_on(int code, bool signsIn)
    {
        if (signsIn)
        {
            await BeginSignInAsync();
        }

        var error = $$$"""{"jsonrpc":"2.0","id":0,"error":{"code":{{{code}}},"message":"no"}}""";
        _introductions.Enqueue(error);
        await SendAsync(Initialize);
        (await _client.NextAsync()).ShouldBe(error);
        await SendAsync(ListTools);
        (await SentAsync(2)).ShouldBe([Initialize, ListTools]);
    }

    [Fact]
    public async Task Until_somebody_has_signed_in_the_client_is_answered_here()
    {
        await TakeOverAsync();
        var introduction = await _client.NextAsync();
        introduction.ShouldStartWith("""{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18",""");
        introduction.ShouldContain("listChanged");
        introduction.ShouldContain("instructions");

        await SendAsync("""{"jsonrpc":"2.0","id":"p","method":"ping"}""");
        (await _client.NextAsync()).ShouldBe(Result("\"p\"", "{}"));
        await SendAsync(Initialized);
        var log = await _client.NextAsync();
        log.ShouldStartWith("""{"jsonrpc":"2.0","method":"notifications/message",""");
        log.ShouldContain("https://mcp.test/authorize?");
        (await SentAsync(1)).ShouldBe([Initialize]);
        _inner.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task What_was_held_follows_the_introduction_in_its_order()
    {
        await TakeOverAsync();
        const string Notification = """{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}""";
        await SendAsync(Initialized, ListTools, Notification, Call);
        await ApproveAsync();
        (await SentAsync(6)).ShouldBe([Initialize, Initialize, Initialized, ListTools, Notification, Call]);

        await _client.NextAsync();
        (await _client.NextAsync()).ShouldContain("notifications/message");
        foreach (var list in (string[])["tools", "prompts", "resources"])
        {
            (await _client.NextAsync()).ShouldBe($$"""{"jsonrpc":"2.0","method":"notifications/{{list}}/list_changed"}""");
        }

        await _inner.SayAsync(Result("\"call\"", "{}"));
        (await _client.NextAsync()).ShouldBe(Result("\"call\"", "{}"));
        const string Later = """{"jsonrpc":"2.0","id":9,"method":"ping"}""";
        await SendAsync(Later);
        (await _inner.NextJsonAsync()).ShouldBe(Later);
    }

    [Fact]
    public async Task Changes_are_told_only_to_a_client_that_is_initialized()
    {
        await TakeOverAsync();
        await SendAsync(ListTools);
        await ApproveAsync();
        (await SentAsync(3)).ShouldBe([Initialize, Initialize, ListTools]);
        await _inner.SayAsync(Result("1", "{}"));
        await _client.NextAsync();
        (await _client.NextAsync()).ShouldBe(Result("1", "{}"));
        await SendAsync(Initialized);
        (await _inner.NextJsonAsync()).ShouldBe(Initialized);
        (await _client.NextAsync()).ShouldContain("notifications/tools/list_changed");
        (await _client.NextAsync()).ShouldContain("notifications/prompts/list_changed");
        (await _client.NextAsync()).ShouldContain("notifications/resources/list_changed");
        await SendAsync(Initialized);
        (await _inner.NextJsonAsync()).ShouldBe(Initialized);
        _client.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task What_the_server_turns_out_to_lack_is_empty()
    {
        await TakeOverAsync(capabilities: """{"tools":{}}""");
        await SendAsync("""{"jsonrpc":"2.0","id":1,"method":"prompts/list"}""", """{"jsonrpc":"2.0","id":2,"method":"logging/setLevel"}""", """{"jsonrpc":"2.0","id":3,"method":"tools/list"}""");
        await ApproveAsync();
        await _client.NextAsync();
        (await _client.NextAsync()).ShouldBe(Result("1", """{"prompts":[]}"""));
        (await _client.NextAsync()).ShouldBe(Result("2", "{}"));
        (await SentAsync(3))[2].ShouldContain("\"id\":3,");
        await SendAsync("""{"jsonrpc":"2.0","id":4,"method":"resources/list"}""");
        (await _client.NextAsync()).ShouldBe(Result("4", """{"resources":[]}"""));
        await SendAsync("""{"jsonrpc":"2.0","id":5,"method":"resources/read"}""");
        (await _inner.NextJsonAsync()).ShouldContain("\"id\":5,");
    }

    [Fact]
    public async Task A_held_request_that_is_cancelled_is_forgotten()
    {
        await TakeOverAsync();
        const string Late = """{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"unknown"}}""";
        await SendAsync(ListTools, Call, """{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}""", Late);
        await ApproveAsync();
        (await SentAsync(4)).ShouldBe([Initialize, Initialize, Call, Late]);
    }

    [Fact]
    public async Task A_request_that_waited_too_long_hears_where_to_sign_in_and_goes_nowhere()
    {
        await TakeOverAsync();
        await _client.NextAsync();
        await SendAsync(Call);
        _time.Advance(TimeSpan.FromSeconds(29));
        await SendAsync(ListTools);
        _client.HasNothingMore.ShouldBeTrue();
        _time.Advance(TimeSpan.FromSeconds(1));
        var error = await _client.NextAsync();
        error.ShouldStartWith("""{"jsonrpc":"2.0","id":"call","error":{"code":-32010,""");
        error.ShouldContain("""data":{"url":"https://mcp.test/authorize?""");
        await ApproveAsync();
        (await SentAsync(3)).ShouldBe([Initialize, Initialize, ListTools]);
        _inner.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task A_sign_in_that_was_refused_is_told_and_begins_anew_when_the_user_wants_something()
    {
        await TakeOverAsync();
        await _client.NextAsync();
        await SendAsync(ListTools);
        await RedirectAsync("error=access_denied");
        var error = await _client.NextAsync();
        error.ShouldStartWith("""{"jsonrpc":"2.0","id":1,"error":{"code":-32010,""");
        error.ShouldContain("access_denied");
        await SendAsync("""{"jsonrpc":"2.0","id":2,"method":"tools/list"}""");
        (await _client.NextAsync()).ShouldStartWith("""{"jsonrpc":"2.0","id":2,"error":{"code":-32010,""");
        (await SentAsync(1)).ShouldBe([Initialize]);
        _inner.HasNothingMore.ShouldBeTrue();

        await SendAsync(Call);
        (await SentAsync(2)).ShouldBe([Initialize, Call]);
    }

    [Fact]
    public async Task The_end_of_the_client_ends_the_waiting()
    {
        await TakeOverAsync();
        await _client.NextAsync();
        await SendAsync(Call);
        _front.EndOfInput();
        (await _client.NextAsync()).ShouldStartWith("""{"jsonrpc":"2.0","id":"call","error":{"code":-32010,""");
    }

    private static string Introduction(string capabilities) => Result("0", $$$"""{"protocolVersion":"2025-06-18","capabilities":{{{capabilities}}},"serverInfo":{"name":"real","version":"1"}}""");

    private static string Result(string id, string result) => $$$"""{"jsonrpc":"2.0","id":{{{id}}},"result":{{{result}}}}""";

    /// <summary>The server has refused a request, and the user is asked to sign in.</summary>
    private async Task<SignInException> BeginSignInAsync()
    {
        using var refusal = new HttpResponseMessage(HttpStatusCode.Unauthorized);
        var answer = _authorization.AnswerAsync(refusal, new(), RequestOccasion.Introduction, CancellationToken.None);
        _page = await _browser.NextAsync();
        _time.Advance(TimeSpan.FromSeconds(3));
        return await Should.ThrowAsync<SignInException>(answer);
    }

    /// <summary>The client has introduced itself to a server that wants a sign-in.</summary>
    private async Task TakeOverAsync(string capabilities = """{"tools":{},"prompts":{},"resources":{},"logging":{}}""")
    {
        var refusal = await BeginSignInAsync();
        _introductions.Enqueue(Encoding.UTF8.GetString(refusal.AnswerFor(Message(Initialize).Id).Utf8.Span));
        _introductions.Enqueue(Introduction(capabilities));
        await SendAsync(Initialize);
    }

    private Task ApproveAsync() => RedirectAsync("code=c");

    /// <summary>The browser comes back.</summary>
    private async Task RedirectAsync(string answer)
    {
        var request = FakeHttp.Request.Query(_page.ShouldNotBeNull().Query);
        (await _authorization.TakeRedirectAsync($"{request["redirect_uri"]}?{answer}&state={request["state"]}", CancellationToken.None)).ShouldBeNull();
    }

    private async Task SendAsync(params string[] messages)
    {
        foreach (var message in messages)
        {
            (await _front.SendAsync(Message(message), default, CancellationToken.None)).ShouldBeTrue();
        }
    }

    /// <summary>What the server gets next.</summary>
    private async Task<List<string>> SentAsync(int count)
    {
        List<string> messages = [];
        while (messages.Count < count)
        {
            messages.Add(await _inner.NextJsonAsync());
        }

        return messages;
    }

    private static JsonRpcMessage Message(string json) =>
        JsonRpcMessage.TryParse(Encoding.UTF8.GetBytes(json), out var message, out var fault) ? message : throw new ArgumentException(fault.Message, nameof(json));

    private sealed class Browser : IBrowser
    {
        private readonly Channel<Uri> _opened = Channel.CreateUnbounded<Uri>();

        public Task<string?> OpenAsync(Uri url, CancellationToken cancellationToken)
        {
            _opened.Writer.TryWrite(url);
            return Task.FromResult<string?>(null);
        }

        public async Task<Uri> NextAsync()
        {
            using var timeout = new CancellationTokenSource(s_timeout);
            return await _opened.Reader.ReadAsync(timeout.Token);
        }
    }

    /// <summary>Keeps what the client is sent.</summary>
    private sealed class Client : IMessageReceiver
    {
        private readonly Channel<string> _messages = Channel.CreateUnbounded<string>();

        public bool HasNothingMore => !_messages.Reader.TryPeek(out _);

        public async Task<string> NextAsync()
        {
            using var timeout = new CancellationTokenSource(s_timeout);
            return await _messages.Reader.ReadAsync(timeout.Token);
        }

        public ValueTask ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
        {
            _messages.Writer.TryWrite(Encoding.UTF8.GetString(message.Utf8.Span));
            return ValueTask.CompletedTask;
        }

        public ValueTask FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken)
        {
            _messages.Writer.TryWrite(fault.Message);
            return ValueTask.CompletedTask;
        }

        public ValueTask AbandonedAsync(string reason, CancellationToken cancellationToken) => throw new NotSupportedException(reason);
    }
}
