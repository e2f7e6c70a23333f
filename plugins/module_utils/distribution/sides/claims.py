# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Claims: only one composer at a time changes tags of a registry, which offers no compare-and-swap.

A composer sets its own tag, ``claim.COMPOSER`` in the repository ``catalog``, and then reads all claims. If another claim is alive, it
takes its own back, waits and tries again: of two composers that set their claims at the same time at least one sees both.
A claim ends after ``LIFETIME`` seconds of the server's clock, so that a killed composer does not lock a registry. It is released
by deleting the tag, or by moving it to a released claim where deleting is not allowed.

Registries with immutable tags refuse to move the tag; then the registry itself refuses to change the other tags.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator

from ...common.errors import Conflict, StrataError
from ...repository.oci_layout import MANIFEST
from ..backends.backend import Backend
from ..items.artifacts import EMPTY, EMPTY_DIGEST, EMPTY_TYPE, descriptor_of, manifest_bytes, parse_manifest
from ..items.names import CLAIM, Naming
from .generation import advance_generation, read_generation

CLAIM_TYPE = "application/vnd.strata.claim.v1+json"
#: Seconds after which a claim ends, after which its holder renews it, and for which others wait by default.
LIFETIME, RENEWAL, PATIENCE = 600, 120, 180
_UNTIL, _HOLDER, _PURPOSE = (
    "strata.layering.claim.until",
    "strata.layering.claim.holder",
    "strata.layering.claim.purpose",
)
_MAX_CLAIM = 64 * 1024


class Claim:
    """A claim that this composer holds. ``before`` and ``generation`` are the generations before and during the claim."""

    def __init__(self, backend: Backend, naming: Naming, composer: str, holder: str, purpose: str) -> None:
        self._backend = backend
        self._repository = naming.catalog
        self._tag = naming.claim_tag(composer)
        self._notes = {_HOLDER: holder[:200], _PURPOSE: purpose[:500]}
        self._set = 0.0
        self._naming = naming
        self.before: str | None = None
        self.generation: str | None = None

    def advance(self) -> None:
        """Begin a new generation of the remote, before tags are changed."""
        self.before = read_generation(self._backend, self._naming)
        self.generation = advance_generation(self._backend, self._naming)

    def acquire(self, patience: float) -> None:
        """Wait until no other claim is alive; raise Conflict (``distribution.claimed``) after ``patience`` seconds."""
        deadline = time.monotonic() + patience
        self._backend.upload(self._repository, EMPTY_DIGEST, len(EMPTY), EMPTY)
        while True:
            self._write(_now(self._backend) + LIFETIME)
            other = self._other()
            if other is None:
                return
            self.release()
            if time.monotonic() >= deadline:
                raise Conflict(
                    f"{self._backend.label[:1].upper()}{self._backend.label[1:]} is being changed by {other}.",
                    code="distribution.claimed",
                    hint=f"Wait until that run has ended, and run again. A claim that a killed run has left ends after {LIFETIME // 60} minutes.",
                )
            time.sleep(random.uniform(0.2, 2.0))

    def renew(self) -> None:
        """Prolong the claim if it was set some time ago; call this before tags are changed.

        Raises:
            Conflict: ``distribution.claim_lost`` if the claim ended before.
        """
        age = time.monotonic() - self._set
        if age >= LIFETIME / 2:
            raise Conflict(
                f"The claim on {self._backend.label} ended, because this run was stopped for {age:.0f} seconds.",
                code="distribution.claim_lost",
                hint="Run again; what was transferred already is kept.",
            )
        if age >= RENEWAL:
            self._write(_now(self._backend) + LIFETIME)

    def release(self) -> None:
        """End the claim; never raise, because a claim that stays ends by itself."""
        try:
            self._backend.delete_tag(self._repository, self._tag)
        except StrataError:
            # Deleting is off in most registries, and old registries cannot delete a tag at all.
            with contextlib.suppress(StrataError):
                self._write(0)

    def _write(self, until: float) -> None:
        notes = self._notes | {_UNTIL: str(int(until))}
        data = manifest_bytes(CLAIM_TYPE, descriptor_of(EMPTY, EMPTY_TYPE), annotations=notes)
        self._backend.put_manifest(self._repository, self._tag, data, MANIFEST)
        self._set = time.monotonic()

    def _other(self) -> str | None:
        """Return the holder of another claim that is alive."""
        return claim_holder(self._backend, self._naming, self._tag)


def claim_holder(backend: Backend, naming: Naming, own: str | None = None) -> str | None:
    """Return the holder of a claim that is alive, except that with the tag ``own``; None if there is none."""
    for tag in backend.tags(naming.catalog):
        if not tag.startswith(CLAIM) or tag == own:
            continue
        found = backend.manifest(naming.catalog, tag, bound=_MAX_CLAIM)
        if found is None:
            continue
        notes = parse_manifest(found.data, found.digest).get("annotations", {})
        until = str(notes.get(_UNTIL, "0"))
        now = _now(backend)
        # A claim of the far future is nonsense and must not lock the registry for ever.
        if until.isdecimal() and len(until) < 12 and now < int(until) <= now + 2 * LIFETIME:
            return f"{str(notes.get(_HOLDER, tag))[:100]!r} ({str(notes.get(_PURPOSE, ''))[:100]})"
    return None


def _now(backend: Backend) -> float:
    found = backend.server_time()
    return time.time() if found is None else found


@contextlib.contextmanager
def claim(
    backend: Backend, naming: Naming, composer: str, *, holder: str, purpose: str, patience: float = PATIENCE
) -> Iterator[Claim]:
    """Hold the claim on the tags below ``naming`` during the block; one process of a composer at a time may call this.

    Raises:
        Conflict: ``distribution.claimed`` if another composer holds it for longer than ``patience`` seconds.
    """
    held = Claim(backend, naming, composer, holder, purpose)
    held.acquire(patience)
    try:
        held.advance()
        yield held
    finally:
        held.release()
