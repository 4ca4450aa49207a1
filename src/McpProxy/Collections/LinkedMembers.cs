namespace McpProxy.Collections;

/// <summary>A list of those who come and go often. Whoever has it sees to it that one thread at a time uses it.</summary>
/// <typeparam name="T">Its members; each is in one list at most.</typeparam>
internal sealed class LinkedMembers<T>
    where T : Linked<T>
{
    private T? _first;

    public bool IsEmpty => _first is null;

    public void Add(T member)
    {
        member.Next = _first;
        if (_first is not null)
        {
            _first.Previous = member;
        }

        _first = member;
    }

    /// <returns>False when it was not in the list.</returns>
    public bool Remove(T member)
    {
        if (member.Previous is null && _first != member)
        {
            return false;
        }

        if (member.Next is { } next)
        {
            next.Previous = member.Previous;
        }

        if (member.Previous is { } previous)
        {
            previous.Next = member.Next;
        }
        else
        {
            _first = member.Next;
        }

        (member.Next, member.Previous) = (null, null);
        return true;
    }

    /// <summary>Those that are in it now, the last that came first.</summary>
    public List<T> ToList()
    {
        List<T> members = [];
        for (var member = _first; member is not null; member = member.Next)
        {
            members.Add(member);
        }

        return members;
    }
}
