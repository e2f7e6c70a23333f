#!/usr/bin/env bash
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes a virtual environment, or brings an existing one up to date.
#
#   environment.sh oldest|newest FOLDER REQUIREMENTS
#
# FOLDER/.ready holds the checkout's path when all is well: an environment does not survive a move.
set -euo pipefail
cd "$(dirname "$0")/../.."
sort=$1 folder=$2 requirements=$3
tools=tests/tools

if ! python=$("$tools/find_python.sh" "$sort"); then
    if [[ $sort == oldest ]]; then
        echo "No Python from 3.11 to 3.13 with the modules venv and ensurepip was found (Debian: apt-get install python3-venv)." >&2
        exit 1
    fi
    python=$("$tools/find_python.sh" oldest)
    echo "No Python 3.12 or newer was found: the newest ansible-core cannot run here, only the oldest supported one is checked."
fi

if [[ $(cat "$folder/.ready" 2>/dev/null) != "$PWD" ]] || ! "$folder/bin/python" -c '' 2>/dev/null; then
    rm -f "$folder/.ready"
    if ! "$folder/bin/python" -m pip --version >/dev/null 2>&1 || ! grep -qF "$PWD/$folder" "$folder/bin/activate"; then
        rm -rf "$folder"
        echo "Making $folder with $("$python" -V)"
        "$python" -m venv "$folder"
    fi
fi
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements"
printf '%s\n' "$PWD" >"$folder/.ready"
