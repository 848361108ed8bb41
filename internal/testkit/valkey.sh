#!/bin/sh
# valkey.sh prints a folder in which the command redis-server is Valkey's server: that of PATH, or
# that of Debian, which is unpacked into the user's cache and not installed. On other systems without
# valkey-server it prints nothing.
set -eu
folder="${XDG_CACHE_HOME:-$HOME/.cache}/dqbridge/valkey"
mkdir -p "$folder"
cd "$folder"

link() {
	ln -sf "$1" redis-server
	./redis-server --version >&2
	pwd
	exit 0
}

found=$(command -v valkey-server || true)
[ -z "$found" ] || link "$found"
[ ! -x root/usr/bin/valkey-server ] || link "$folder/root/usr/bin/valkey-server"
[ -r /etc/os-release ] || exit 0
. /etc/os-release
[ "$ID" = debian ] || exit 0

# Debian 12 has it in its backports, which few machines list: they are read from this machine's mirror.
site=$(apt-get indextargets --format '$(SITE)' "Codename: $VERSION_CODENAME" | head -n 1)
rm -rf apt root
mkdir -p apt/lists/partial apt/cache/archives/partial
for suite in "$VERSION_CODENAME" "$VERSION_CODENAME-backports"; do echo "deb $site $suite main"; done >apt/list
options="-qq -o APT::Sandbox::User=root -o Dir::Etc::SourceList=$folder/apt/list -o Dir::Etc::SourceParts=/dev/null"
options="$options -o Dir::State::Lists=$folder/apt/lists -o Dir::Cache=$folder/apt/cache"
apt-get $options update >&2
apt-get $options download valkey-server valkey-tools >&2
for package in *.deb; do dpkg -x "$package" root; done
rm -rf apt ./*.deb
link "$folder/root/usr/bin/valkey-server"
