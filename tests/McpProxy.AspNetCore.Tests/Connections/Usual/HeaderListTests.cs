using McpProxy.AspNetCore.Connections.Usual;
using Microsoft.AspNetCore.Http;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Connections.Usual;

public sealed class HeaderListTests
{
    private readonly HeaderList _list = new();

    [Fact]
    public void It_does_what_the_platforms_dictionary_does()
    {
        var random = new Random(7);
        var other = new HeaderDictionary();
        string[] names = ["Accept", "accept", "Host", "X-A", "x-a", "X-B", "Content-Type", "Origin", "Vary", "Retry-After", "Date", "Allow"];
        for (var round = 0; round < 20_000; round++)
        {
            var name = names[random.Next(names.Length)];
            switch (random.Next(4))
            {
                case 0:
                    _list.Remove(name).ShouldBe(other.Remove(name));
                    break;
                case 1:
                    _list.ContainsKey(name).ShouldBe(other.ContainsKey(name));
                    break;
                default:
                    _list[name] = other[name] = $"{round}";
                    break;
            }

            _list[name].ShouldBe(other[name]);
            _list.Count.ShouldBe(other.Count);
        }

        _list.OrderBy(entry => entry.Key, StringComparer.OrdinalIgnoreCase).Select(entry => $"{entry.Key.ToUpperInvariant()}={entry.Value}")
            .ShouldBe(other.OrderBy(entry => entry.Key, StringComparer.OrdinalIgnoreCase).Select(entry => $"{entry.Key.ToUpperInvariant()}={entry.Value}"));
        _list.Clear();
        _list.ShouldBeEmpty();
    }

    [Fact]
    public void A_length_is_one_header_however_it_was_set()
    {
        _list.ContentLength = 5;
        _list["content-length"].ToString().ShouldBe("5");
        _list.Count.ShouldBe(1);
        _list["Content-Length"] = "7";
        _list.ContentLength.ShouldBe(7);
        _list.Count.ShouldBe(1);
        _list.Remove("CONTENT-LENGTH").ShouldBeTrue();
        _list.ContentLength.ShouldBeNull();
        Should.Throw<InvalidOperationException>(() => _list["Content-Length"] = "seven");
    }
}
