using McpProxy.Auth;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Auth;

public sealed class AuthenticationChallengeTests
{
    private static readonly string[] s_names = ["realm", "title", "type", "error", "error_description", "scope", "resource_metadata", "algs"];

    /// <summary>RFC 9110 sections 5.6 and 11.6.1.</summary>
    [Theory]
    [InlineData("", "")]
    [InlineData(" ,\t, ", "")]
    [InlineData("Bearer", "Bearer()")]
    [InlineData("Bearer realm=\"a\"", "Bearer(realm=a)")]
    [InlineData("Newauth realm=\"apps\", type=1, title=\"Login to \\\"apps\\\"\", Basic realm=\"simple\"", "Newauth(realm=apps|title=Login to \"apps\"|type=1) Basic(realm=simple)")]
    [InlineData("Basic realm=\"a, Bearer error=b\", Bearer scope=\"x y\"", "Basic(realm=a, Bearer error=b) Bearer(scope=x y)")]
    [InlineData("Basic,Bearer,DPoP", "Basic() Bearer() DPoP()")]
    [InlineData("Negotiate YWJjZA==, Bearer scope=x", "Negotiate() Bearer(scope=x)")]
    [InlineData("Bearer error=x, Negotiate YWJj+/-._~", "Bearer(error=x) Negotiate()")]
    [InlineData("Bearer scope = \"a\" \t, ,,error= x ,realm =y", "Bearer(realm=y|error=x|scope=a)")]
    [InlineData("Bearer   realm=x", "Bearer(realm=x)")]
    [InlineData("Bearer realm=\"\", scope=\"\\\\ \\a\"", "Bearer(realm=|scope=\\ a)")]
    [InlineData("Bearer realm=\"not closed, error=x", "Bearer(realm=not closed, error=x)")]
    [InlineData("Bearer realm=\"ends in \\", "Bearer(realm=ends in \\)")]
    [InlineData("Bearer resource_metadata=https://a.test/.well-known/x", "Bearer(resource_metadata=https://a.test/.well-known/x)")]
    [InlineData("Bearer scope=first, scope=second, SCOPE=third", "Bearer(scope=first)")]
    [InlineData("Bearer Realm=x, ERROR=y", "Bearer(realm=x|error=y)")]
    [InlineData("\"Bearer\"", "")]
    [InlineData("=;@", "")]
    [InlineData("Bearer error=x, @@, realm=y", "Bearer(error=x)")]
    [InlineData("Unknown-1 algs=\"a\", Bearer", "Unknown-1(algs=a) Bearer()")]
    public void A_field_is_a_list_of_challenges(string field, string challenges) => Show(field).ShouldBe(challenges);

    [Fact]
    public void Each_field_is_read_by_itself()
    {
        Show("Basic realm=\"not closed", "@", "Bearer error=x").ShouldBe("Basic(realm=not closed) Bearer(error=x)");
        Show("Basic", "error=x").ShouldNotContain("Basic(error");
        Show().ShouldBe("");
    }

    [Fact]
    public void A_token_in_place_of_parameters_hides_no_challenge() => Read("Negotiate YWJj, Bearer scope=x")[^1].Scope.ToString().ShouldBe("x");

    [Theory]
    [InlineData("bEARER", true, false)]
    [InlineData("dpop", true, true)]
    [InlineData("Basic", false, false)]
    [InlineData("BearerX", false, false)]
    public void Bearer_and_dpop_are_answered_by_tokens(string scheme, bool isOAuth, bool isDpop)
    {
        var challenge = Read(scheme).ShouldHaveSingleItem();
        challenge.IsOAuth.ShouldBe(isOAuth);
        challenge.IsDpop.ShouldBe(isDpop);
    }

    [Fact]
    public void What_the_specification_names_is_found()
    {
        var challenge = Read("""DPoP error="insufficient_scope", scope="files:read  files:write", resource_metadata="https://a.test/x?y=z,1", algs="ES256" """).ShouldHaveSingleItem();
        challenge.Error.ShouldBe("insufficient_scope");
        challenge.Scope.ToParameter().ShouldBe("files:read files:write");
        challenge.ResourceMetadata.ShouldBe("https://a.test/x?y=z,1");
        challenge.Parameter("Algs").ShouldBe("ES256");

        var nothing = Read("Bearer").ShouldHaveSingleItem();
        (nothing.Error, nothing.ResourceMetadata, nothing.Parameter("x"), nothing.Scope.IsEmpty).ShouldBe((null, null, null, true));
    }

    [Theory]
    [InlineData("Bearer", null)]
    [InlineData("Bearer scope=\"a\", error_description=\"text\"", null)]
    [InlineData("Bearer error=invalid_token", "invalid_token")]
    [InlineData("Bearer error=invalid_token, error_description=\"it has\tended\"", "invalid_token: it has ended")]
    [InlineData("Bearer error=insufficient_scope, scope=\"a b\"", "insufficient_scope: it takes the scope a b")]
    [InlineData("Bearer error=insufficient_scope, scope=\"a b\", error_description=\"more\"", "insufficient_scope: more; it takes the scope a b")]
    public void It_tells_a_person_what_is_wrong(string field, string? description) => Read(field)[0].Describe().ShouldBe(description);

    private static IReadOnlyList<AuthenticationChallenge> Read(params string[] fields)
    {
        using var response = new HttpResponseMessage();
        foreach (var field in fields)
        {
            response.Headers.TryAddWithoutValidation("WWW-Authenticate", field).ShouldBeTrue();
        }

        return AuthenticationChallenge.Of(response.Headers);
    }

    private static string Show(params string[] fields) => string.Join(' ', Read(fields).Select(challenge =>
        $"{challenge.Scheme}({string.Join('|', s_names.Where(name => challenge.Parameter(name) is not null).Select(name => $"{name}={challenge.Parameter(name)}"))})"));
}
