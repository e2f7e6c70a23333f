# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of the scripts in an image, sent through VMware Tools and read from the VM's guestinfo.

The script runner in the OS layer sets ``guestinfo.strata.layering.scripts.*``. An ESXi host drops the
values when the VM is powered off, so they are read while it runs. Runners of earlier releases report neither
activation nor waits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .script_titles import is_wait, script_title

#: Set when a VM is created and read by the guest: whether Windows shuts down after its scripts.
KEY_MODE = "guestinfo.strata.layering.mode"
#: Set to the report's ``image`` when a VM is powered on again whose scripts may have finished unobserved: the guest
#: then repeats its report and shuts down. Removed before the snapshot, so that no clone has it.
KEY_REPORT_AGAIN = "guestinfo.strata.layering.again"
AUTOMATIC, MANUAL = "automatic", "manual"
RUNNING, FAILED, FINISHED = "running", "failed", "finished"
_PREFIX = "guestinfo.strata.layering.scripts."
#: The name of activation among the results.
ACTIVATION = "activation"
#: Outcomes of the runner's waits: ``absent`` says that the VM has no network adapter.
READY, TIMEOUT, ABSENT, UNKNOWN = "ready", "timeout", "absent", "unknown"
_RESULT = re.compile(re.escape(_PREFIX) + r"result\.(\d{1,4})")
_ACTIVATION = f"{_PREFIX}result.{ACTIVATION}"
_WAIT = re.compile(re.escape(_PREFIX) + r"wait\.(setup|servicing|devices|network)")
#: A product key. The runner removes lines with a key; runners of earlier releases did not.
_PRODUCT_KEY = re.compile(r"(?<![0-9A-Za-z-])[0-9A-Za-z]{5}(?:-[0-9A-Za-z]{5}){4}(?![0-9A-Za-z-])")
#: Characters of a value and number of results that are kept. Control characters are replaced.
_LONGEST = 200
_MOST_RESULTS = 500


@dataclass(frozen=True)
class GuestReport:
    """The last report of the script runner.

    ``current`` is such as ``2/3 app layer Editor 1.0``, ``activation runato.cmd`` or ``wait network``, ``code`` the
    exit code of the script that failed, ``output`` the last line of its output, ``results`` exit codes by number of
    the scripts that have ended. ``activation`` is the exit code of activation, None without a report about it;
    ``waits`` are names and outcomes of what the runner waited for.
    """

    state: str
    current: str
    code: str
    output: str
    results: tuple[tuple[int, str], ...]
    activation: str | None = None
    waits: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the report as documents and results contain it; activation is one of the results."""
        values = asdict(self)
        del values["activation"], values["waits"]
        activation = {} if self.activation is None else {ACTIVATION: self.activation}
        results = activation | {str(number): code for number, code in self.results}
        return values | {"results": results} | ({"waits": dict(self.waits)} if self.waits else {})


def image_mark(content_digest: str) -> str:
    """Return the name that guests use for an image of this content."""
    return content_digest.partition(":")[2][:16]


def read_report(extra_config: Mapping[str, str], content_digest: str) -> GuestReport | None:
    """Return the report about the image of this content; None when there is none, or only a report about a different image."""
    image = extra_config.get(_PREFIX + "image", "")
    state = extra_config.get(_PREFIX + "state", "")
    if image.strip().lower() != image_mark(content_digest) or state not in (RUNNING, FAILED, FINISHED):
        return None
    results = sorted(
        (int(match[1]), _printable(value)) for key, value in extra_config.items() if (match := _RESULT.fullmatch(key))
    )
    current, code, output = (_printable(extra_config.get(_PREFIX + key, "")) for key in ("current", "code", "output"))
    activation = extra_config.get(_ACTIVATION)
    waits = sorted((match[1], value) for key, value in extra_config.items() if (match := _WAIT.fullmatch(key)))
    return GuestReport(
        state,
        current,
        code,
        output,
        tuple(results[:_MOST_RESULTS]),
        _printable(activation) if activation else None,
        tuple((name, value if value in (READY, TIMEOUT, ABSENT) else UNKNOWN) for name, value in waits),
    )


def cleared(extra_config: Mapping[str, str]) -> dict[str, str]:
    """Return the changes to extraConfig that remove every report."""
    return {key: "" for key in extra_config if key.startswith(_PREFIX)}


def failure(report: GuestReport, names: Sequence[str] = ()) -> str:
    """Return the sentence about the script that failed, without a full stop; ``names`` as for ``script_title``."""
    title = script_title(report.current, names)
    if report.code == TIMEOUT and is_wait(report.current):
        return f"{title[0].upper()}{title[1:]} took longer than the limit in first-start.txt allows"
    reason = (
        "was interrupted three times"
        if report.code == "interrupted"
        else f"failed with exit code {report.code or 'unknown'}"
    )
    output = f'; the last line of its output is "{report.output}"' if report.output else "; it wrote no output"
    return f"{title[0].upper()}{title[1:]} {reason}{output}"


def _printable(text: str) -> str:
    plain = "".join(character if character.isprintable() else " " for character in text[:_LONGEST]).strip()
    return _PRODUCT_KEY.sub("(product key)", plain)
