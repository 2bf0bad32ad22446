#!/usr/bin/env bash
# Runs go generate and fails when that changes a file, so that what is
# committed is what the generators make. Uncommitted work doesn't disturb it:
# it compares the tree before with the tree after.
set -euo pipefail

snapshot() { git ls-files -z --cached --others --exclude-standard | sort -zu | xargs -0 sha256sum 2>/dev/null || true; }

before=$(snapshot)
go generate ./...
after=$(snapshot)
if ! changed=$(diff <(echo "$before") <(echo "$after")); then
	echo "go generate changed files; commit what it wrote:" >&2
	echo "$changed" | sed -n 's/^[<>] [0-9a-f]*  /    /p' | sort -u >&2
	exit 1
fi
