#!/usr/bin/env bash
# Runs go generate and fails when that changes a file, so that what is
# committed is what the generators make. Uncommitted work doesn't disturb it:
# it compares the tree before with the tree after.
set -euo pipefail

snapshot() { find . -path ./.git -prune -o -type f -exec cksum {} + | sort -k 3; }

before=$(snapshot)
go generate ./...
after=$(snapshot)
if ! changed=$(diff <(echo "$before") <(echo "$after")); then
	echo "go generate changed files; commit what it wrote:" >&2
	echo "$changed" | sed -n 's/^[<>] [0-9]* [0-9]* /    /p' | sort -u >&2
	exit 1
fi
