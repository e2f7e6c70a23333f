#!/usr/bin/env bash
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs a command and says on standard error, every five seconds, that it is running.
#
#   progress.sh TITLE SECONDS COMMAND [ARGUMENT...]
#
# TITLE names the step, SECONDS is its usual duration when nothing is cached. A command that ends within a second prints only its own output.
set -euo pipefail
title=$1 usual=$2
shift 2

"$@" &
command=$!
trap 'kill "$command" 2>/dev/null || true' INT TERM HUP

running() { kill -0 "$command" 2>/dev/null; }

for ((tenth = 0; tenth < 10; tenth++)); do
    running || break
    sleep 0.1
done
if running; then
    echo "    begin    $title, about $usual s the first time" >&2
    started=$SECONDS next=5
    while running; do
        if ((SECONDS - started >= next)); then
            printf '    %3d s    %s ...\n' $((SECONDS - started)) "$title" >&2
            next=$((next + 5))
        fi
        sleep 0.2
    done
fi
code=0
wait "$command" || code=$?
exit "$code"
