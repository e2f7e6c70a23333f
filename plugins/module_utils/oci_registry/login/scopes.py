# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The access that a request needs, in the form that token servers read."""

from __future__ import annotations


def pull(repository: str) -> tuple[str, ...]:
    """Return the scope of a request that reads."""
    return (f"repository:{repository}:pull",)


def push(repository: str, source: str | None = None) -> tuple[str, ...]:
    """Return the scopes of a request that writes, and that mounts a blob of the repository ``source``."""
    scopes = (f"repository:{repository}:pull,push",)
    return scopes if source is None else (*scopes, *pull(source))


def delete(repository: str) -> tuple[str, ...]:
    """Return the scope of a request that deletes a manifest or a tag."""
    return (f"repository:{repository}:pull,push,delete",)
