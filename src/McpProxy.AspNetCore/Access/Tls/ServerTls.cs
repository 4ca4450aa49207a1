using System.Net;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace McpProxy.AspNetCore.Access.Tls;

/// <summary>
/// TLS with certificates from files. New ones are used for new connections soon after the files change; files that cannot be used leave the old
/// certificates in use.
/// </summary>
public sealed partial class ServerTls : IDisposable
{
    /// <summary>How often the files are looked at. They are read, for their times say nothing where links are swapped, as with Kubernetes' secrets.</summary>
    public static readonly TimeSpan Period = TimeSpan.FromSeconds(10);

    private readonly TlsFiles _files;
    private readonly ILogger _logger;
    private readonly FailureLog _failures;
    private readonly ITimer _timer;
    private TlsMaterial _material;
    private byte[] _seen;
    private int _looking;

    /// <summary>Reads the files.</summary>
    /// <param name="files">Where they are.</param>
    /// <param name="time">The clock of looking at them again.</param>
    /// <param name="loggers">Where changes are logged.</param>
    /// <exception cref="ArgumentException">A file cannot be read, or they do not go together.</exception>
    public ServerTls(TlsFiles files, TimeProvider? time = null, ILoggerFactory? loggers = null)
    {
        ArgumentNullException.ThrowIfNull(files);
        _files = files;
        _logger = (loggers ?? NullLoggerFactory.Instance).CreateLogger("tls");
        _material = TlsMaterial.Read(files);
        _seen = _material.Fingerprint;
        var clock = time ?? TimeProvider.System;
        _failures = new(clock, _logger);
        if (_material.NotAfter < clock.GetUtcNow().UtcDateTime)
        {
            LogExpired(_files.CertificateFile, _material.NotAfter);
        }

        _timer = clock.CreateTimer(static state => ((ServerTls)state!).Look(), this, Period, Period);
    }

    /// <summary>Serves TLS where a server listens.</summary>
    /// <param name="listen">The address; the server must have Kestrel's HTTPS support (<c>UseKestrelHttpsConfiguration</c>).</param>
    public void Use(ListenOptions listen) =>
        listen.UseHttps(new TlsHandshakeCallbackOptions
        {
            OnConnection = context =>
            {
                var from = context.Connection.RemoteEndPoint;
                return new(Volatile.Read(ref _material).For(reason => _failures.Add((from as IPEndPoint)?.Address.ToString() ?? "somebody", "client certificate", reason)));
            },
        });

    /// <summary>Stops looking at the files.</summary>
    public void Dispose() => _timer.Dispose();

    private void Look()
    {
        if (Interlocked.Exchange(ref _looking, 1) != 0)
        {
            return;
        }

        try
        {
            var fingerprint = TlsMaterial.FingerprintOf(_files);
            if (fingerprint.AsSpan().SequenceEqual(_seen))
            {
                return;
            }

            // Noted before they are tried: what cannot be used is said once.
            _seen = fingerprint;
            var material = TlsMaterial.Read(_files);
            _seen = material.Fingerprint;
            Volatile.Write(ref _material, material);
            LogChanged(_files.CertificateFile, material.NotAfter);
        }
        catch (ArgumentException e)
        {
            LogKept(e.Message.Split(" (Parameter", 2)[0]);
        }
        catch (Exception e)
        {
            LogDefect(e);
        }
        finally
        {
            Volatile.Write(ref _looking, 0);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "New connections use the new certificate of {File}, which expires {Expiry:u}")]
    private partial void LogChanged(string file, DateTime expiry);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The certificate of {File} has expired {Expiry:u}: clients will not connect")]
    private partial void LogExpired(string file, DateTime expiry);

    [LoggerMessage(Level = LogLevel.Error, Message = "The files of TLS have changed and cannot be used; the certificate from before stays in use: {Reason}")]
    private partial void LogKept(string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "Defect while looking at the files of TLS")]
    private partial void LogDefect(Exception exception);
}
