namespace McpProxy.Cli.CommandLine;

/// <summary>The scripts that make shells ask this program for completions (through its <c>[suggest]</c> directive).</summary>
internal static class CompletionScript
{
    public static string For(string shell) => shell switch
    {
        "bash" => """
            _mcp_proxy() {
                local IFS=$'\n'
                COMPREPLY=($(compgen -W "$(mcp-proxy "[suggest:${COMP_POINT}]" "${COMP_LINE}" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
            }
            complete -o default -F _mcp_proxy mcp-proxy
            """,
        "zsh" => """
            #compdef mcp-proxy
            _mcp_proxy() {
                local -a found
                found=("${(@f)$(mcp-proxy "[suggest:${CURSOR}]" "${BUFFER}" 2>/dev/null)}")
                compadd -a found
            }
            compdef _mcp_proxy mcp-proxy
            """,
        "fish" => """
            complete -c mcp-proxy -a '(mcp-proxy "[suggest:"(commandline -C)"]" (commandline) 2>/dev/null)'
            """,
        _ => """
            Register-ArgumentCompleter -Native -CommandName mcp-proxy -ScriptBlock {
                param($word, $line, $cursor)
                mcp-proxy "[suggest:$cursor]" "$line" | ForEach-Object { [System.Management.Automation.CompletionResult]::new($_) }
            }
            """,
    };
}
