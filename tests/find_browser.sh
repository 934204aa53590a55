#!/usr/bin/env bash
# Prints the path of a Chrome or Chromium. Installs Chromium where that needs no question (root on
# Debian or Ubuntu); elsewhere, without any browser, says in one line what to install, and fails.
set -euo pipefail

find_browser() {
  if [ -n "${OLS_BROWSER:-}" ]; then
    echo "$OLS_BROWSER"
    return 0
  fi
  local name
  for name in chromium chromium-browser google-chrome google-chrome-stable chrome; do
    command -v "$name" && return 0
  done
  local mac="/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
  [ -x "$mac" ] && echo "$mac"
}

find_browser && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  {
    apt-get update -qq &&
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-liberation
  } >/dev/null 2>&1 || true
  find_browser && exit 0
fi
echo "No Chrome or Chromium: install one (sudo apt-get install chromium) or set OLS_BROWSER=/path/to/it" >&2
exit 1
