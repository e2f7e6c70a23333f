#!/usr/bin/env bash
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Installs the dependencies of this collection below FOLDER/ansible_collections.
#
#   collections.sh PYTHON FOLDER
#
# Their source is the PyPI package ansible, because galaxy.ansible.com is not reachable everywhere. FOLDER/.ready contains the version.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$1 folder=$2

# Its collections also run on ansible-core 2.19; only the package itself requires a newer ansible-core and a newer Python.
version=14.5.0
collections=(ansible/windows community/general community/vmware community/windows vmware/vmware)
wheels=.cache/collections

if [[ $(cat "$folder/.ready" 2>/dev/null) == "$version ${collections[*]}" ]]; then
    exit 0
fi

mkdir -p "$wheels" "$folder"
wheel=("$wheels"/ansible-"$version"-*.whl)
if [[ ! -f ${wheel[0]} ]]; then
    echo "Fetching collections: ${collections[*]}"
    part=$(mktemp -d "$wheels/part.XXXXXX")
    trap 'rm -rf "$part"' EXIT
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --python-version 3.13 --dest "$part" "ansible==$version"
    mv "$part"/*.whl "$wheels/"
    wheel=("$wheels"/ansible-"$version"-*.whl)
fi

rm -f "$folder/.ready"
for collection in "${collections[@]}"; do
    rm -rf "$folder/ansible_collections/$collection"
done
"$python" - "${wheel[0]}" "$folder" "${collections[@]}" <<'PYTHON'
import sys
import zipfile

wheel, folder, *collections = sys.argv[1:]
wanted = tuple(f"ansible_collections/{name}/" for name in collections)
with zipfile.ZipFile(wheel) as archive:
    archive.extractall(folder, [name for name in archive.namelist() if name.startswith(wanted)])
PYTHON
printf '%s\n' "$version ${collections[*]}" >"$folder/.ready"
