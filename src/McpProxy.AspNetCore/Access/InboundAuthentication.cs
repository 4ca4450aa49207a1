using System.Globalization;
using McpProxy.AspNetCore.Access.Tokens;
using McpProxy.AspNetCore.Responses;
using McpProxy.JsonRpc;
using McpProxy.Telemetry;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace McpProxy.AspNetCore.Access;

/// <summary>
/// Lets in who can show who they are, by any of the ways that are offered, and tells everybody else how
/// (RFC 9110 section 11, RFC 6750, RFC 9728; MCP 2026-07-28, "Authorization").
/// </summary>
/// <remarks>What a client shows is for this server alone: it is never passed on to the upstream.</remarks>
public sealed partial class InboundAuthentication : IRequestGate, IDisposable
{
    private readonly IReadOnlyList<IAccessScheme> _schemes;
    private readonly AccessTokenScheme? _tokens;
    private readonly ProtectedResourceMetadata? _metadata;
    private readonly bool _takesApiKeys;
    private readonly bool _takesBasic;
    private readonly bool _takesCertificates;
    private readonly string _scopeParameter;
    private readonly FailureLog _failures;
    private readonly ILogger _logger;

    /// <summary>Makes the gate; <see cref="McpEndpointOptions.Gates"/> puts it up.</summary>
    /// <param name="options">The ways in; at least one.</param>
    /// <param name="endpoint">What is behind the gate. Its own gates are not looked at.</param>
    /// <param name="time">The clock that tokens expire by.</param>
    /// <param name="loggers">Where failed attempts are logged.</param>
    /// <exception cref="ArgumentException">There is no way in, an issuer is no URL, or a certificate of the network options cannot be read.</exception>
    public InboundAuthentication(InboundAuthenticationOptions options, McpEndpointOptions endpoint, TimeProvider? time = null, ILoggerFactory? loggers = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(endpoint);
        if (!options.HasAny)
        {
            throw new ArgumentException("there is no way in: give keys, users, issuers, or take client certificates", nameof(options));
        }

        // RFC 6749 section 3.3; anything else would end the quoted text that it stands in.
        if (options.Jwt?.RequiredScopes.FirstOrDefault(scope => scope.Length == 0 || scope.Any(c => c is <= ' ' or '"' or '\\' or > '~')) is { } scopeWithMore)
        {
            throw new ArgumentException($"\"{scopeWithMore}\" is no scope", nameof(options));
        }

        _logger = (loggers ?? NullLoggerFactory.Instance).CreateLogger("access");
        var clock = time ?? TimeProvider.System;
        _failures = new(clock, _logger);
        _takesApiKeys = options.ApiKeys.Count > 0;
        _takesBasic = options.BasicUsers.Count > 0;
        _takesCertificates = options.AcceptsClientCertificates;
        _scopeParameter = options.Jwt is { RequiredScopes: { Count: > 0 } scopes } ? $", scope=\"{string.Join(' ', scopes)}\"" : "";
        var schemes = new List<IAccessScheme>();
        if (_takesApiKeys)
        {
            schemes.Add(new ApiKeyScheme(options.ApiKeys));
        }

        if (_takesBasic)
        {
            schemes.Add(new BasicScheme(options.BasicUsers));
        }

        if (options.Jwt is { } jwt)
        {
            _tokens = new(jwt, options.Network, clock, _logger);
            _metadata = new(jwt, endpoint);
            schemes.Add(_tokens);
        }

        _schemes = schemes;
    }

    /// <summary>Puts up what clients must be able to read before they are let in: the protected resource metadata, where tokens are taken.</summary>
    /// <param name="routes">The application.</param>
    public void MapMetadata(IEndpointRouteBuilder routes)
    {
        ArgumentNullException.ThrowIfNull(routes);
        if (_metadata is not null)
        {
            routes.Map(ProtectedResourceMetadata.Path + "/{**resource}", _metadata.ServeAsync);
        }
    }

    /// <inheritdoc/>
    public async ValueTask<bool> AdmitAsync(HttpContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        if (PresentedCredentials.TryRead(context.Request.Headers, _takesApiKeys, out var credentials) is { } problem)
        {
            _failures.Add(AddressOf(context), "headers", problem);
            ProxyMeter.Authentication("invalid");
            await HttpReply.ErrorAsync(context, StatusCodes.Status400BadRequest, default, JsonRpcErrorCode.InvalidRequest, $"Bad request: {problem}");
            return false;
        }

        AccessDecision? worst = null;
        var tried = "";
        foreach (var scheme in _schemes)
        {
            if (await scheme.DecideAsync(credentials, context.RequestAborted) is not { } decision)
            {
                continue;
            }

            if (decision.Outcome == AccessOutcome.Admitted)
            {
                context.User = decision.User!;
                ProxyMeter.Authentication("ok");
                return true;
            }

            if (worst is null || decision.Outcome >= worst.Outcome)
            {
                (worst, tried) = (decision, scheme.Name);
            }
        }

        // Somebody who shows something wrong is not let in for having something right as well.
        if (worst is null && _takesCertificates && ClientCertificates.UserOf(context) is { } user)
        {
            context.User = user;
            ProxyMeter.Authentication("ok");
            return true;
        }

        if (worst is null)
        {
            LogNothingShown(AddressOf(context));
        }
        else
        {
            _failures.Add(AddressOf(context), tried, worst.Reason);
        }

        ProxyMeter.Authentication(worst?.Outcome switch
        {
            null => "missing",
            AccessOutcome.InsufficientScope => "insufficient_scope",
            AccessOutcome.Unavailable => "unavailable",
            _ => "invalid",
        });
        await RefuseAsync(context, worst);
        return false;
    }

    /// <summary>Ends the fetching of keys.</summary>
    public void Dispose() => _tokens?.Dispose();

    private static string AddressOf(HttpContext context) => context.Connection.RemoteIpAddress?.ToString() ?? "somebody";

    private Task RefuseAsync(HttpContext context, AccessDecision? decision)
    {
        switch (decision?.Outcome)
        {
            case AccessOutcome.Unavailable:
                context.Response.Headers.RetryAfter = Math.Max(1, (int)Math.Ceiling(decision.RetryAfter.TotalSeconds)).ToString(CultureInfo.InvariantCulture);
                return HttpReply.ErrorAsync(
                    context, StatusCodes.Status503ServiceUnavailable, default, JsonRpcErrorCode.UpstreamUnavailable, "The token cannot be checked now: its issuer cannot be reached; try again later");
            case AccessOutcome.InsufficientScope:
                Challenge(context, "insufficient_scope", decision.Reason, withOthers: false);
                return HttpReply.ErrorAsync(context, StatusCodes.Status403Forbidden, default, JsonRpcErrorCode.InvalidRequest, $"Forbidden: {decision.Reason}");
            case AccessOutcome.Refused:
                Challenge(context, "invalid_token", decision.Reason, withOthers: true);
                return HttpReply.ErrorAsync(context, StatusCodes.Status401Unauthorized, default, JsonRpcErrorCode.InvalidRequest, $"Unauthorized: {decision.Reason}");
            default:
                Challenge(context, error: null, description: null, withOthers: true);
                return HttpReply.ErrorAsync(context, StatusCodes.Status401Unauthorized, default, JsonRpcErrorCode.InvalidRequest, $"Unauthorized: {Wanted()}");
        }
    }

    private string Wanted() => string.Join(", or ", ((string?[])
    [
        _tokens is null ? null : "sign in and send the access token as Authorization: Bearer",
        _takesApiKeys ? $"send a key as Authorization: Bearer or {PresentedCredentials.ApiKeyHeader}" : null,
        _takesBasic ? "send a name and password as Authorization: Basic" : null,
        _takesCertificates ? "connect with a client certificate" : null,
    ]).OfType<string>());

    /// <summary>Says how to come in (RFC 6750 section 3, RFC 9728 section 5.1, RFC 7617 section 2).</summary>
    private void Challenge(HttpContext context, string? error, string? description, bool withOthers)
    {
        var challenges = new List<string>();
        var failure = error is null ? "" : $", error=\"{error}\", error_description=\"{description}\"";
        var isBasic = context.Request.Headers.Authorization.ToString().StartsWith("Basic ", StringComparison.OrdinalIgnoreCase);
        if (_metadata is not null)
        {
            challenges.Add($"Bearer resource_metadata=\"{_metadata.AddressFor(context)}\"{_scopeParameter}{(isBasic ? "" : failure)}");
        }
        else if (_takesApiKeys)
        {
            challenges.Add($"Bearer realm=\"mcp-proxy\"{(isBasic ? "" : failure)}");
        }

        if (_takesBasic && withOthers)
        {
            challenges.Add("Basic realm=\"mcp-proxy\", charset=\"UTF-8\"");
        }

        context.Response.Headers.WWWAuthenticate = challenges.ToArray();
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Address} came without a credential and was told how to get one")]
    private partial void LogNothingShown(string address);
}
