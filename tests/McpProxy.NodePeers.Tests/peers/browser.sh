#!/bin/sh
# The browser of a test: notes which address it was asked to open, and leaves the rest to the test.
printf '%s\n' "$1" >> "$MCP_PROXY_TEST_BROWSED"
