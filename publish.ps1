# Builds one native, self-contained program for this machine: artifacts/mcp-proxy.exe (artifacts/mcp-proxy elsewhere)
#
# .NET 10 where its Native AOT pack can be restored, .NET 9 where it cannot; the code is the same.
$ErrorActionPreference = 'Stop'
Set-Location $PSScriptRoot

if (-not (Get-Command dotnet -ErrorAction SilentlyContinue)) {
    throw 'the .NET 10 SDK is missing; see https://dotnet.microsoft.com/download'
}

if ($IsWindows -or $env:OS -eq 'Windows_NT') {
    $vswhere = Join-Path ${env:ProgramFiles(x86)} 'Microsoft Visual Studio\Installer\vswhere.exe'
    $tools = if (Test-Path $vswhere) { & $vswhere -latest -prerelease -products * -requires Microsoft.VisualStudio.Component.VC.Tools.x86.x64 -property installationPath }
    if (-not $tools) {
        throw 'a linker is missing; install the Visual Studio Build Tools with "Desktop development with C++"'
    }
}

$rid = (dotnet --info | Select-String '^\s*RID:\s*(\S+)').Matches[0].Groups[1].Value
$common = @('src/McpProxy.Cli', '-r', $rid, '-p:McpProxyNative=true', '--artifacts-path', 'artifacts/native', '-v', 'quiet')
$framework = $null
foreach ($candidate in 'net10.0', 'net9.0') {
    # A failed restore says only that this framework's native pack is not to be had here.
    $log = dotnet restore @common "-p:McpProxyTargetFramework=$candidate" 2>&1
    if ($LASTEXITCODE -eq 0) {
        $framework = $candidate
        break
    }
}

if (-not $framework) {
    $log | Write-Host
    throw "no Native AOT compiler for $rid can be restored"
}

Write-Host "publish: $rid, $framework"
dotnet publish @common -c Release --no-restore --nologo "-p:McpProxyTargetFramework=$framework" -o artifacts/native/out
if ($LASTEXITCODE -ne 0) {
    exit $LASTEXITCODE
}

$program = Get-ChildItem artifacts/native/out -File | Where-Object { $_.Name -in 'mcp-proxy', 'mcp-proxy.exe' } | Select-Object -First 1
Copy-Item $program.FullName artifacts -Force
Write-Host "publish: artifacts/$($program.Name), $($program.Length) bytes"
