# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long work tells what it is doing.

Engine functions that can take more than a second accept ``progress``: a callable
``progress(step, done, total)`` where ``step`` is a short phrase such as ``"compress"``,
``done`` and ``total`` are amounts in the step's own unit (bytes unless the function says
otherwise) and ``total`` is None while it is unknown. It is called at most a few times a
second a step, from any thread, and must not raise except to cancel the work.
"""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, "int | None"], None]


def silent(step: str, done: int, total: int | None) -> None:
    """The default: nobody is watching."""
