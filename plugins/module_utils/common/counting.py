# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers with their nouns in messages."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return the number and the noun in singular or plural, such as "1 file"; ``plural`` is by default noun + "s"."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def counted_examples(
    examples: Sequence[str], number: int, noun: str, plural: str = "", *, separator: str = ", "
) -> str:
    """Return the number of things with ``examples`` of them: "1 path: a", "2 paths: a, b" or "9 paths, such as a, b"."""
    between = ": " if len(examples) == number else ", such as "
    return counted(number, noun, plural) + between + separator.join(examples)
