// Offers a stdio server at /mcp of an application, behind the application's own authentication, CORS and rate limiting.
// The words after "--" start the server: sample-server-in-web-application --urls http://127.0.0.1:5000 -- npx -y @modelcontextprotocol/server-everything
using System.Security.Claims;
using System.Threading.RateLimiting;
using McpProxy.AspNetCore;
using ServerInWebApplication;

var dashes = Array.IndexOf(args, "--");
var command = args[(dashes + 1)..];
var builder = WebApplication.CreateBuilder(args[..Math.Max(0, dashes)]);
builder.Services.AddAuthentication(TeamKeys.Scheme).AddScheme<TeamKeyOptions, TeamKeys>(TeamKeys.Scheme, options => options.Keys = new(StringComparer.Ordinal) { ["red-key"] = "red", ["blue-key"] = "blue" });
builder.Services.AddAuthorization();
builder.Services.AddCors(cors => cors.AddDefaultPolicy(policy => policy.WithOrigins("https://tools.example").AllowAnyHeader().AllowAnyMethod().WithExposedHeaders("Mcp-Session-Id", "WWW-Authenticate")));
builder.Services.AddRateLimiter(limits =>
{
    limits.RejectionStatusCode = StatusCodes.Status429TooManyRequests;
    limits.AddPolicy("per-team", context => RateLimitPartition.GetTokenBucketLimiter(
        context.User.FindFirstValue(ClaimTypes.NameIdentifier) ?? "", _ => new() { TokenLimit = 100, TokensPerPeriod = 100, ReplenishmentPeriod = TimeSpan.FromSeconds(1) }));
});
builder.Services.AddMcpProxy(options => options.AllowedOrigins = ["https://tools.example"]);

var app = builder.Build();
app.UseCors();
app.UseAuthentication();
app.UseAuthorization();
app.UseRateLimiter();
app.MapMcpProxy("/mcp", upstream => upstream.Stdio(command[0], command[1..])).RequireAuthorization().RequireRateLimiting("per-team");
app.MapGet("/", () => "The application's own page");
await app.RunAsync();
