#!/usr/bin/env bash
# Builds one native, self-contained program for this machine: artifacts/mcp-proxy
#
# .NET 10 where its Native AOT pack can be restored, .NET 9 where it cannot; the code is the same.
# McpProxyPie=true in the environment makes one for Linux that is loaded at any address: see SECURITY.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

say() { printf 'publish: %s\n' "$*" >&2; }

if ! command -v dotnet >/dev/null; then
  say 'the .NET 10 SDK is missing; see https://dotnet.microsoft.com/download'
  exit 1
fi

# The native compiler leaves linking to the C compiler of the machine, and needs zlib's headers for it.
if [ "$(uname -s)" = Linux ] && ! { command -v clang || command -v gcc; } >/dev/null; then
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    say 'installing a linker (gcc)'
    apt-get update -qq && apt-get install -y -qq gcc libc6-dev zlib1g-dev >/dev/null
  else
    say 'a linker is missing; install clang or gcc (Debian, Ubuntu: apt-get install clang zlib1g-dev; Fedora: dnf install clang zlib-devel)'
    exit 1
  fi
fi

linker=()
if [ "$(uname -s)" = Linux ] && ! command -v clang >/dev/null; then
  linker=(-p:CppCompilerAndLinker=gcc)
fi

rid=$(dotnet --info | sed -n 's/^ *RID: *//p' | head -n 1)
options=(-c Release -r "$rid" -p:McpProxyNative=true "${linker[@]}" --artifacts-path artifacts/native --nologo -v quiet)
framework=
for candidate in net10.0 net9.0; do
  # A failed restore says only that this framework's native pack is not to be had here.
  if dotnet restore src/McpProxy.Cli -r "$rid" -p:McpProxyNative=true -p:McpProxyTargetFramework=$candidate --artifacts-path artifacts/native -v quiet >artifacts-restore.log 2>&1; then
    framework=$candidate
    break
  fi
done

if [ -z "$framework" ]; then
  cat artifacts-restore.log >&2
  rm -f artifacts-restore.log
  say "no Native AOT compiler for $rid can be restored"
  exit 1
fi

rm -f artifacts-restore.log
say "$rid, $framework"

# Linked each time: another way to link is no reason to do it again for who compares the times of files.
rm -rf artifacts/native/bin/McpProxy.Cli/*/native
dotnet publish src/McpProxy.Cli "${options[@]}" --no-restore -p:McpProxyTargetFramework="$framework" -o artifacts/native/out
name=mcp-proxy
[ -f artifacts/native/out/mcp-proxy.exe ] && name=mcp-proxy.exe
cp "artifacts/native/out/$name" "artifacts/$name.new"
mv "artifacts/$name.new" "artifacts/$name"
say "artifacts/$name, $(wc -c <"artifacts/$name" | tr -d ' ') bytes"
