#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Copyright the Parlance authors
# A standby that takes over begins another history, at once.

. "${BASH_SOURCE[0]%/*}/lib.sh"

server() { # COMMAND...
	if [ "$(id -u)" -eq 0 ]; then
		runuser -u "${PGTESTUSER:-postgres}" -- "$@"
	else
		"$@"
	fi
}

standby=$WORK/standby
stop() {
	server "$PGBIN/pg_ctl" -D "$standby/data" -m immediate -w stop >/dev/null 2>&1
}
trap stop EXIT

mkdir -m 700 "$standby"
[ "$(id -u)" -ne 0 ] || chown "${PGTESTUSER:-postgres}" "$standby"
server "$PGBIN/pg_basebackup" -h "$WORK" -U admin -D "$standby/data" -R -c fast || exit 1
server "$PGBIN/pg_ctl" -D "$standby/data" -l "$standby/log" -w -t 60 \
	-o "-c listen_addresses= -k '$standby' -c fsync=off" start >/dev/null || exit 1

before=$(sql -c 'SELECT parlance.epoch()')
is "$(sql -c 'CHECKPOINT' -c 'SELECT parlance.epoch()')" "$before" 'it stays while the server does'
ok "$(sql -h "$standby" -c "SELECT parlance.epoch() <> ''")" 'a standby has one'
# Nothing was written yet but the end of the recovery: the checkpoint that says so is minutes away.
sql -h "$standby" -c 'SELECT pg_promote()' >/dev/null
ok "$(sql -h "$standby" -c "SELECT parlance.epoch() NOT IN ('', '$before')")" 'a standby that has taken over has another'
