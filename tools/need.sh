#!/usr/bin/env bash
# Installs what the tests need and this machine lacks: PostgreSQL, PgBouncer
# and, for the race detector, a C compiler. Where it can't, it prints the one
# line to run and fails.
set -euo pipefail

# pgtest looks in the same places: internal/pgtest/find.go.
path="$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/bin:/opt/homebrew/sbin"
for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin; do
	path="$path:$dir"
done
if bindir=$(pg_config --bindir 2>/dev/null); then
	path="$path:$bindir"
fi

have() { PATH="$path" command -v "$1" >/dev/null; }

if ! have go; then
	echo "Go 1.26 or newer is needed: https://go.dev/dl/" >&2
	exit 1
fi

packages=()
have initdb || packages+=(postgresql)
have pgbouncer || packages+=(pgbouncer)
have gcc || have clang || packages+=(gcc libc6-dev)
if [ ${#packages[@]} -eq 0 ]; then
	exit 0
fi

if have apt-get; then
	install="apt-get update && apt-get install -y --no-install-recommends ${packages[*]}"
	as_root=()
	if [ "$(id -u)" -eq 0 ] || { have sudo && sudo -n true 2>/dev/null && as_root=(sudo -n); }; then
		echo "installing ${packages[*]}"
		if ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive bash -c "$install" >/dev/null; then
			exit 0
		fi
	fi
	line="sudo sh -c '$install'"
elif have brew; then
	line="brew install postgresql@17 pgbouncer"
elif have dnf; then
	line="sudo dnf install -y postgresql-server pgbouncer gcc"
else
	line="install with your package manager: ${packages[*]}"
fi
echo "missing: ${packages[*]}; run:" >&2
echo "    $line" >&2
exit 1
