#!/bin/sh
# Plants each fault of internal/robustness/faults in a copy of the tree, and fails unless the tests that the patch names
# find it. The environment variable FAULTS takes some of them, by the beginning of their names.
set -eu
cd "$(dirname "$0")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 1' INT TERM
missed=
for patch in internal/robustness/faults/*.patch; do
	name=$(basename "$patch" .patch)
	case " ${FAULTS:-$name} " in
	*" $name "* | *" ${name%%-*} "*) ;;
	*) continue ;;
	esac
	rm -rf "$copy/tree"
	mkdir "$copy/tree"
	git ls-files -z --cached --others --exclude-standard -- '*.go' go.mod go.sum internal openapi.yaml | xargs -0 tar -cf - | tar -xf - -C "$copy/tree"
	git -C "$copy/tree" apply --whitespace=nowarn "$PWD/$patch"
	tests=$(sed -n 's/^Found by: //p' "$patch")
	# A tree that does not compile would look like a fault that was found.
	go -C "$copy/tree" test -run '^$' "${tests%% *}" >/dev/null
	# Words of a line that is in the repository: no quoting is lost.
	# shellcheck disable=SC2086
	if go -C "$copy/tree" test -v -count=1 $tests >"$copy/said" 2>&1; then
		echo "$name: NOT FOUND by $tests"
		missed="$missed $name"
	else
		echo "$name: found by $(sed -n 's/^ *--- FAIL: \([^ ]*\).*/\1/p' "$copy/said" | sort -u | tr '\n' ' ')"
		sed -n 's/^ *[a-z_]*test.go:[0-9]*: \(.*\)/    \1/p' "$copy/said" | cut -c 1-200 | head -n "${LINES_OF_FINDINGS:-1}"
	fi
done
[ -z "$missed" ] || { echo "not found:$missed" >&2; exit 1; }
