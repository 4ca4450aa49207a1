namespace McpProxy.Eras;

/// <summary>What is known about the eras that one server speaks. It is asked again when what is known proves wrong.</summary>
internal sealed class EraFacts
{
    private readonly EraChoice _pinned;
    private volatile EraChoice _known;
    private volatile bool _speaksLegacy;
    private volatile bool _hasRefusedInitialize;

    /// <param name="pinned">What the server is said to speak; auto when that is to be found out.</param>
    public EraFacts(EraChoice pinned)
    {
        _pinned = pinned;
        Forget();
    }

    /// <summary>Whether the server is known to speak the modern era.</summary>
    public bool IsModern => _known == EraChoice.Modern;

    /// <summary>Whether the server is known not to speak the modern era.</summary>
    public bool IsLegacyOnly => _known == EraChoice.Legacy;

    /// <summary>Whether the server is known not to speak the legacy era.</summary>
    public bool IsModernOnly => IsModern && !_speaksLegacy && (_pinned == EraChoice.Modern || _hasRefusedInitialize);

    /// <summary>Whether the answer was given, and is not to be looked for.</summary>
    public bool IsPinned => _pinned != EraChoice.Auto;

    /// <summary>The server has answered <c>initialize</c> with a result.</summary>
    public void LearnLegacy() => _speaksLegacy = true;

    /// <summary>The server was asked in the modern way, did not understand, and has answered <c>initialize</c>.</summary>
    public void LearnLegacyOnly() => (_speaksLegacy, _known) = (true, IsPinned ? _pinned : EraChoice.Legacy);

    /// <summary>The server has answered in the modern way.</summary>
    /// <param name="hasRefusedInitialize">Whether it has refused the legacy way.</param>
    public void LearnModern(bool hasRefusedInitialize = false)
    {
        _known = IsPinned ? _pinned : EraChoice.Modern;
        _hasRefusedInitialize |= hasRefusedInitialize;
    }

    /// <summary>What was known has proved wrong.</summary>
    public void Forget()
    {
        _known = _pinned;
        _speaksLegacy = _pinned == EraChoice.Legacy;
        _hasRefusedInitialize = false;
    }
}
