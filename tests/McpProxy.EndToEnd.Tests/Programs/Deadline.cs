using System.Globalization;

namespace McpProxy.EndToEnd.Tests.Programs;

/// <summary>Bounds every wait, and says what was waited for.</summary>
internal static class Deadline
{
    /// <summary>Far longer than anything takes, even on a machine that is busy with other things.</summary>
    private static readonly TimeSpan s_default = TimeSpan.FromSeconds(20);

    public static async Task<T> Within<T>(this Task<T> task, string what, TimeSpan? limit = null)
    {
        await ((Task)task).Within(what, limit);
        return await task;
    }

    public static Task<T> Within<T>(this ValueTask<T> task, string what, TimeSpan? limit = null) => task.AsTask().Within(what, limit);

    public static async Task Within(this Task task, string what, TimeSpan? limit = null)
    {
        try
        {
            await task.WaitAsync(limit ?? s_default, TestContext.Current.CancellationToken);
        }
        catch (TimeoutException e) when (!task.IsFaulted)
        {
            throw new TimeoutException(string.Create(CultureInfo.InvariantCulture, $"not within {(limit ?? s_default).TotalSeconds} s: {what}"), e);
        }
    }
}
