using System.Net;
using McpProxy.Auth.SignIn;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Auth.SignIn;

public sealed class RedirectAddressTests
{
    [Theory]
    [InlineData("localhost", "http://localhost:1234/cb", "127.0.0.1 ::1")]
    [InlineData("127.0.0.1", "http://127.0.0.1:1234/cb", "127.0.0.1 ::1")]
    [InlineData("[::1]", "http://[::1]:1234/cb", "127.0.0.1 ::1")]
    [InlineData("proxy.test", "http://proxy.test:1234/cb", "127.0.0.1 ::1")]
    [InlineData("0.0.0.0", "http://localhost:1234/cb", "0.0.0.0")]
    [InlineData("[::]", "http://localhost:1234/cb", "::")]
    [InlineData("10.0.0.7", "http://10.0.0.7:1234/cb", "10.0.0.7")]
    public void A_name_is_listened_for_on_this_machine_and_an_address_where_it_is(string host, string uri, string addresses)
    {
        var address = new RedirectAddress(host, 1234, "/cb");
        address.Uri.ShouldBe(uri);
        address.ListenAddresses.ShouldBe(addresses.Split(' ').Select(IPAddress.Parse));
    }

    [Theory]
    [InlineData("http://localhost:1234/oauth/callback", "localhost", 1234, "/oauth/callback")]
    [InlineData("http://127.0.0.1:80/", "127.0.0.1", 80, "/")]
    [InlineData("http://[::1]:1/cb", "[::1]", 1, "/cb")]
    public void A_redirect_uri_can_be_taken_apart(string uri, string host, int port, string path)
    {
        var address = RedirectAddress.TryParse(uri).ShouldNotBeNull();
        address.ShouldBe(new(host, port, path));
        address.Uri.ShouldBe(uri);
    }

    [Theory]
    [InlineData("https://localhost:1234/cb")]
    [InlineData("http://localhost/cb")]
    [InlineData("mcp-proxy://callback")]
    [InlineData("urn:ietf:wg:oauth:2.0:oob")]
    [InlineData("/cb")]
    [InlineData("")]
    public void What_cannot_be_listened_on_is_no_address(string uri) => RedirectAddress.TryParse(uri).ShouldBeNull();

    [Fact]
    public void The_port_of_a_server_stays_the_same_and_is_one_that_browsers_open()
    {
        // Fetch, "port blocking", as far as ports of ours go.
        int[] bad = [3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080];
        for (uint number = 0; number < 40_000; number++)
        {
            var port = RedirectAddress.PortFor(number);
            var plain = 3335 + (int)(number % 29433);
            port.ShouldBeInRange(3335, 32767);
            bad.ShouldNotContain(port);
            if (!bad.Contains(plain))
            {
                port.ShouldBe(plain);
            }
        }

        RedirectAddress.PortFor(6665 - 3335).ShouldBe(6670);
    }

    [Theory]
    [InlineData(0, false)]
    [InlineData(22, false)]
    [InlineData(80, true)]
    [InlineData(6000, false)]
    [InlineData(6001, true)]
    [InlineData(10080, false)]
    [InlineData(65535, true)]
    public void Some_ports_are_not_for_browsers(int port, bool isForBrowsers) => RedirectAddress.IsForBrowsers(port).ShouldBe(isForBrowsers);

    [Theory]
    [InlineData("localhost:1234", true)]
    [InlineData("LocalHost", true)]
    [InlineData("127.0.0.1:9", true)]
    [InlineData("[::1]", true)]
    [InlineData("[::1]:1234", true)]
    [InlineData("Proxy.test:1234", true)]
    [InlineData("", false)]
    [InlineData(":1234", false)]
    [InlineData("::1", false)]
    [InlineData("evil.test", false)]
    [InlineData("localhost.evil.test", false)]
    [InlineData("evil.test:localhost", false)]
    [InlineData("127.0.0.1.evil.test", false)]
    public void A_request_names_this_machine(string host, bool isOurs) => new RedirectAddress("proxy.test", 1234, "/cb").IsHost(host).ShouldBe(isOurs);
}
