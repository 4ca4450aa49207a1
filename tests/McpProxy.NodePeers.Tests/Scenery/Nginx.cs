namespace McpProxy.NodePeers.Tests.Scenery;

/// <summary>nginx in front of a serving proxy, with the settings that it has by default.</summary>
internal static class Nginx
{
    private static readonly string? s_program = Requirement.FindProgram("nginx", "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin");

    /// <summary>Skips the test where there is no nginx.</summary>
    public static void Need() => Requirement.Need(s_program is not null, "nginx is not installed: `apt-get install nginx-light`, or the like");

    /// <summary>Serves a proxy under a path.</summary>
    /// <returns>The address that clients use in place of the proxy's own.</returns>
    public static Task<string> StartAsync(Scene scene, string path, string upstream, DirectoryInfo directory) => FreePort.UseAsync(async port =>
    {
        var configuration = Path.Combine(directory.FullName, $"nginx-{port}.conf");
        await File.WriteAllTextAsync(configuration, Configuration(port, path, upstream, directory.FullName));
        var nginx = scene.Start("nginx", s_program!, "-p", directory.FullName, "-e", "stderr", "-c", configuration);

        // It says so when its sockets are bound.
        await nginx.ErrorLineAsync("event method");
        return $"http://127.0.0.1:{port}{path}";
    });

    private static string Configuration(int port, string path, string upstream, string directory) => $$"""
        daemon off;
        master_process off;
        pid {{directory}}/nginx-{{port}}.pid;
        error_log stderr notice;
        events { }
        http {
            access_log off;
            client_body_temp_path {{directory}}/body;
            proxy_temp_path {{directory}}/proxy;
            fastcgi_temp_path {{directory}}/fastcgi;
            uwsgi_temp_path {{directory}}/uwsgi;
            scgi_temp_path {{directory}}/scgi;
            server {
                listen 127.0.0.1:{{port}};
                location {{path}}/ {
                    proxy_pass {{upstream}}/;
                }
            }
        }
        """;
}
