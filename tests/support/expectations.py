# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expectations that several tests have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError


@contextlib.contextmanager
def only_our_errors() -> Iterator[None]:
    """Let the block succeed or raise a StrataError; every other exception fails the test.

    For tests that read damaged or random input: they expect an error with a code, and no crash.
    """
    try:
        yield
    except StrataError as error:
        assert error.code, f"{error.__class__.__name__} has no code: {error}"


@contextlib.contextmanager
def raises(kind: type[StrataError], code: str) -> Iterator[pytest.ExceptionInfo[StrataError]]:
    """Expect an error of ``kind`` with ``code`` and a hint; yield pytest's information about it."""
    with pytest.raises(kind) as caught:
        yield caught
    assert caught.value.code == code
    assert caught.value.hint
