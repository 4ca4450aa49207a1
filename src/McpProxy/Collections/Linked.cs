namespace McpProxy.Collections;

/// <summary>A member of a <see cref="LinkedMembers{T}"/>: it has the links itself, so that to join and to leave costs no memory and no search.</summary>
/// <typeparam name="T">The class that derives from this.</typeparam>
internal abstract class Linked<T>
    where T : Linked<T>
{
    /// <summary>Its neighbours, which the list sets.</summary>
    public T? Next { get; set; }

    /// <inheritdoc cref="Next"/>
    public T? Previous { get; set; }
}
