#!/bin/sh
# Checks the units of systemd: their settings by verify, their hardening by security, at most 3.0.
# Programs and man pages need not be installed: the copies name /bin/true.
set -eu
units=$(mktemp -d)
trap 'rm -r "$units"' EXIT
for unit in deploy/systemd/*.service; do
	sed -e 's#/usr/local/bin/dq[a-z]*#/bin/true#' -e '/^Documentation=/d' "$unit" >"$units/$(basename "$unit")"
done
systemd-analyze verify "$units/dqworker@1.service" "$units/dqbridge-dashboard.service"
for unit in dqworker@1 dqbridge-dashboard; do
	systemd-analyze security --offline=yes --threshold=30 "$units/$unit.service" | tail -1
done
