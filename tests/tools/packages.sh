#!/usr/bin/env bash
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Installs the Debian packages of bindep.txt that are missing.
#
#   packages.sh PROFILE...    a line without profile always counts, one with profiles when one of them is asked for
#
# On a system without dpkg it only prints a message: install the packages yourself there.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v dpkg-query >/dev/null; then
    echo "This system does not use dpkg: install the packages of bindep.txt yourself."
    exit 0
fi

active=" platform:dpkg $* "
if [[ -r /etc/os-release ]]; then
    # shellcheck source=/dev/null
    active+="$(. /etc/os-release && echo "platform:$ID platform:$ID-${VERSION_ID-} platform:$ID-${VERSION_CODENAME-}") "
fi

# One selector of each sort (platforms, profiles) has to be active, as in bindep; negated selectors are not used here.
wanted() {
    local selector platform=none profile=none
    for selector in "$@"; do
        if [[ $selector == platform:* ]]; then
            [[ $active == *" $selector "* ]] && platform=yes
            [[ $platform == none ]] && platform=no
        else
            [[ $active == *" $selector "* ]] && profile=yes
            [[ $profile == none ]] && profile=no
        fi
    done
    [[ $platform != no && $profile != no ]]
}

missing=()
while read -r package selectors; do
    if [[ -z $package || $package == \#* ]]; then
        continue
    fi
    selectors=${selectors#[}
    read -ra list <<<"${selectors%]}"
    if wanted "${list[@]}" && [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) != installed ]]; then
        missing+=("$package")
    fi
done <bindep.txt

if ((${#missing[@]} == 0)); then
    exit 0
fi

install=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -y --no-install-recommends install)
if ((EUID == 0)); then
    become=()
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    become=(sudo -n)
else
    echo "Debian packages are missing. Install them, then try again:" >&2
    echo "    sudo apt-get update && sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi

echo "Installing Debian packages: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The package lists of a new system may be empty or outdated.
if ! "${become[@]}" "${install[@]}" "${missing[@]}" >"$log" 2>&1; then
    if ! { "${become[@]}" apt-get -q update && "${become[@]}" "${install[@]}" "${missing[@]}"; } >"$log" 2>&1; then
        cat "$log" >&2
        exit 1
    fi
fi
