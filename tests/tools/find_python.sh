#!/usr/bin/env bash
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Prints the path of a Python for the project's virtual environments.
#
#   find_python.sh oldest    the oldest that runs the oldest supported ansible-core (2.19)
#   find_python.sh newest    the newest that runs the newest ansible-core, which wants 3.12
#
# A candidate is usable if it starts and can create virtual environments. The shims of a version
# manager are on PATH, but fail if no version is selected, so the versions behind the shims are
# tried as well. The exit code is 1 if no usable Python is found.
set -euo pipefail

case ${1-} in
    oldest) minors=(11 12 13) ;;
    newest) minors=(14 13 12) ;;
    *) echo "usage: find_python.sh oldest|newest" >&2; exit 2 ;;
esac

candidates() {
    local name=$1 path shims=()
    while read -r path; do
        if [[ $path == */shims/$name ]]; then
            shims+=("$path")
        else
            printf '%s\n' "$path"
        fi
    done < <(type -aP "$name")
    for path in "${shims[@]}" "${PYENV_ROOT:-${HOME-}/.pyenv}/shims/$name"; do
        printf '%s\n' "${path%/shims/*}"/versions/*/bin/"$name"
    done
}

works() {
    [[ -x $1 ]] && "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, int(sys.argv[1])))' "$2" >/dev/null 2>&1
}

for minor in "${minors[@]}"; do
    while read -r candidate; do
        if works "$candidate" "$minor"; then
            printf '%s\n' "$candidate"
            exit 0
        fi
    done < <(candidates "python3.$minor")
done
exit 1
