#!/bin/sh
# promtool.sh prints the path of promtool: that of PATH, or that of Debian's package prometheus, which
# is unpacked into the user's cache and not installed, so that no server starts.
set -eu
found=$(command -v promtool || true)
[ -z "$found" ] || { echo "$found"; exit 0; }
folder="${XDG_CACHE_HOME:-$HOME/.cache}/dqbridge/promtool"
tool="$folder/usr/bin/promtool"
if [ ! -x "$tool" ]; then
	command -v apt-get >/dev/null || { echo "promtool is missing: install Prometheus, so that it is in PATH" >&2; exit 1; }
	mkdir -p "$folder"
	cd "$folder"
	apt-get -qq download prometheus >&2
	for package in *.deb; do dpkg -x "$package" .; done
	rm -f ./*.deb
fi
echo "$tool"
