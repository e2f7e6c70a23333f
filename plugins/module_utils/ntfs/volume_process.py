# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run work on an NTFS volume in a child process, because libntfs-3g crashes on some damaged volumes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..common.child_process import run_in_child

_HINT = "The file system is probably damaged: run chkdsk on the VM that the disk comes from and export the disk again."


def run_on_volume(
    function: Callable[..., Any], *arguments: Any, subject: str = "the NTFS volume", **keywords: Any
) -> Any:
    """Call ``run_in_child`` with the hint to check the file system; its docstring lists the errors."""
    return run_in_child(function, *arguments, subject=subject, hint=_HINT, **keywords)
