# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How messages name what a guest does: scripts by number, file and origin, activation by its file, and waits."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...catalog.resolved_template import ResolvedTemplate
from ...catalog.scripts import scripts_of
from ...common.errors import StrataError
from ...repository.repository import Repository

_CURRENT = re.compile(r"(\d{1,4})/(\d{1,4}) (.+)")
_ACTIVATION, _WAIT = "activation ", "wait "
_WAITS = {
    "wait setup": "the wait for the end of Windows Setup",
    "wait servicing": "the wait for the end of the installation of updates",
    "wait devices": "the wait for the end of the installation of devices",
    "wait network": "the wait for the network",
}


def script_names(repository: Repository, template: ResolvedTemplate) -> list[str]:
    """Return the file names of the scripts of an image in the order in which they run; empty if they cannot be read."""
    try:
        placed = scripts_of(repository, (template.os_layer, *template.layers), template.script)
    except StrataError:
        return []
    return [script.name for script in placed]


def is_activation(current: str) -> bool:
    """Return whether ``current`` of a report is the activation of Windows or Office."""
    return current.startswith(_ACTIVATION)


def is_wait(current: str) -> bool:
    """Return whether ``current`` of a report is a wait of the script runner."""
    return current.startswith(_WAIT)


def script_title(current: str, names: Sequence[str] = ()) -> str:
    """Return the name of what a guest reports as ``current``, such as ``script 2 of 3 (setup.cmd of the app layer Editor 1.0)``."""
    if is_activation(current):
        return f"the activation by {current.removeprefix(_ACTIVATION)}"
    if is_wait(current):
        return _WAITS.get(current, f"the {current}")
    match = _CURRENT.fullmatch(current)
    if match is None:
        return f"the script {current}" if current else "a script of unknown name"
    number, count, origin = int(match[1]), int(match[2]), match[3]
    # The guest may report about an image with other scripts.
    file = f"{names[number - 1]} of the " if 0 < number <= len(names) == count else ""
    return f"script {number} of {count} ({file}{origin})"
