namespace McpProxy.Eras;

/// <summary>What is known about the eras that one server speaks. It is asked again when what is known proves wrong.</summary>
internal sealed class EraFacts
{
    private readonly EraChoice _pinned;
    private volatile EraChoice _known;
    private volatile bool _speaksLegacy;
    private volatile bool _hasRefusedInitialize;
    private volatile int _generation;
    private int _announced;

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

    /// <summary>Whether the server is known to speak the legacy era.</summary>
    public bool SpeaksLegacy => _speaksLegacy;

    /// <summary>How many times the server has turned out to be another one than before.</summary>
    public int Generation => _generation;

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

    /// <summary>Whether it was not said before that messages are translated for clients of an era; it is then taken as said.</summary>
    public bool Announce(bool toModernClients) => (Interlocked.Or(ref _announced, toModernClients ? 1 : 2) & (toModernClients ? 1 : 2)) == 0;

    /// <summary>The server was asked again.</summary>
    /// <param name="isModern">Whether it speaks the modern era.</param>
    /// <param name="speaksLegacy">Whether it speaks the legacy one.</param>
    /// <returns>Whether that is something else than was known.</returns>
    public bool Correct(bool isModern, bool speaksLegacy)
    {
        var known = isModern ? EraChoice.Modern : EraChoice.Legacy;
        if ((_known == EraChoice.Auto || _known == known) && (speaksLegacy || !_speaksLegacy))
        {
            return false;
        }

        (_known, _speaksLegacy, _hasRefusedInitialize) = (known, speaksLegacy, !speaksLegacy);
        Interlocked.Increment(ref _generation);
        return true;
    }

    /// <summary>What was known has proved wrong.</summary>
    public void Forget()
    {
        _known = _pinned;
        _speaksLegacy = _pinned == EraChoice.Legacy;
        _hasRefusedInitialize = false;
    }
}
