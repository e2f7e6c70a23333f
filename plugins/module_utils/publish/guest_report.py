# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scripts in an image report through VMware Tools, read from the machine's guestinfo.

The script runner in the OS layer sets ``guestinfo.strata.layering.scripts.*``; a host forgets the
values when the machine is switched off, so they are read while it runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

#: Set when a machine is made, read by the guest: whether it shuts itself down when its scripts are done.
KEY_MODE = "guestinfo.strata.layering.mode"
#: Set to the image's ``image`` when a machine is powered on again that may have finished while nobody watched: its guest says so once more and shuts down.
#: Removed before the snapshot, so that no clone has it.
KEY_AGAIN = "guestinfo.strata.layering.again"
AUTOMATIC, MANUAL = "automatic", "manual"
RUNNING, FAILED, FINISHED = "running", "failed", "finished"
_PREFIX = "guestinfo.strata.layering.scripts."
_RESULT = re.compile(re.escape(_PREFIX) + r"result\.(\d{1,4})")
#: What a guest says is bounded and shown without control characters.
_LONGEST = 200
_MOST_RESULTS = 500


@dataclass(frozen=True)
class GuestReport:
    """What the runner said last. ``current`` is such as ``2/3 app layer Editor 1.0``, ``code`` the exit code of the script
    that failed, ``output`` the last line of its output, ``results`` exit codes by number of the scripts that have ended."""

    state: str
    current: str
    code: str
    output: str
    results: tuple[tuple[int, str], ...]

    def to_dict(self) -> dict:
        """As it stands in documents and results."""
        return asdict(self) | {"results": {str(number): code for number, code in self.results}}


def image_mark(content_digest: str) -> str:
    """What guests call an image of this content."""
    return content_digest.partition(":")[2][:16]


def read_report(extra_config: Mapping[str, str], content_digest: str) -> GuestReport | None:
    """The report about the image of this content; None when there is none, or one about another image."""
    image = extra_config.get(_PREFIX + "image", "")
    state = extra_config.get(_PREFIX + "state", "")
    if image.strip().lower() != image_mark(content_digest) or state not in (RUNNING, FAILED, FINISHED):
        return None
    results = sorted(
        (int(match[1]), _plain(value)) for key, value in extra_config.items() if (match := _RESULT.fullmatch(key))
    )
    current, code, output = (_plain(extra_config.get(_PREFIX + key, "")) for key in ("current", "code", "output"))
    return GuestReport(state, current, code, output, tuple(results[:_MOST_RESULTS]))


def cleared(extra_config: Mapping[str, str]) -> dict[str, str]:
    """The changes to extraConfig that remove every report."""
    return {key: "" for key in extra_config if key.startswith(_PREFIX)}


def failure(report: GuestReport) -> str:
    """How a sentence tells of the script that failed."""
    ended = (
        "was interrupted three times"
        if report.code == "interrupted"
        else f"failed with exit code {report.code or 'unknown'}"
    )
    said = f'; the last line of its output is "{report.output}"' if report.output else "; it put nothing out"
    return f"The script {report.current or 'of unknown name'} {ended}{said}"


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text[:_LONGEST]).strip()
