# SPDX-License-Identifier: MIT
# Copyright the Parlance authors
# shellcheck shell=bash
#
# What the cases in shell use: assertions, and psql for short.

ok() { # CONDITION WHAT: the text "t", or not
	is "$1" t "$2"
}

is() { # GOT WANT WHAT
	if [ "$1" = "$2" ]; then
		printf 'ok - %s\n' "$3"
	else
		printf 'not ok - %s\n  got:  %s\n  want: %s\n' "$3" "$1" "$2"
	fi
}

sql() { # PSQL-ARGUMENTS...
	psql -qXAt -v ON_ERROR_STOP=1 "$@"
}

# The SQLSTATE of what a statement fails with, "ok" if it does not.
state() { # DATABASE USER SQL
	local out
	if out=$(psql -qXAt -v ON_ERROR_STOP=1 -v VERBOSITY=sqlstate -d "$1" -U "$2" -c "$3" 2>&1); then
		printf 'ok\n'
	else
		printf '%s\n' "${out##*ERROR:  }"
	fi
}

# Waits until a query gives t; fails after some seconds.
wait_for() { # SQL
	local i
	for ((i = 0; i < 200; i++)); do
		[ "$(sql -c "$1")" = t ] && return 0
		sleep 0.05
	done
	return 1
}
