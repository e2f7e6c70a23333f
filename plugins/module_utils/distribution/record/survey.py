# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A survey of a registry of record: all its layer versions and templates, as they were at one moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from ...common.errors import StrataError, Unavailable
from ...common.progress import Progress, silent
from ..items.items import LayerItem
from ..items.names import TEMPLATE, ItemName
from ..items.template_item import TemplateItem
from ..sides.claims import claim_holder
from ..sides.generation import read_generation
from ..sides.local import Local
from ..sides.remote import Listed, Remote
from ..sides.remote_writer import RemoteWriter

#: How often a survey is tried without a claim, and the seconds between two attempts.
_ATTEMPTS, _PAUSE = 4, 2.0


@dataclass(frozen=True)
class Survey:
    """What a registry has. ``generation`` is that of the moment, None if the registry was never changed.

    ``moved`` are layer versions of this repository whose tags hold something else in the registry.
    """

    generation: str | None
    layers: Mapping[ItemName, LayerItem]
    templates: Mapping[str, TemplateItem]
    moved: frozenset[ItemName] = frozenset()

    def digests(self) -> dict[ItemName, str]:
        """Return the digest of each item."""
        found = {item: layer.digest for item, layer in self.layers.items()}
        return found | {ItemName(TEMPLATE, name): template.digest for name, template in self.templates.items()}


def survey(connect: Callable[[], Remote], local: Local, progress: Progress = silent) -> Survey:
    """Read the registry; ``connect`` returns a remote that has read nothing yet.

    Layer versions that ``local`` has are not read again, except for their details. If other composers change the registry
    again and again while it is read, the registry is claimed.

    Raises:
        Conflict: ``distribution.claimed`` if a composer holds the claim for too long.
        Unavailable: the registry cannot be reached.
        StrataError: of the trust policy; content is damaged.
    """
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE)
        remote = connect()
        generation = read_generation(remote.backend, remote.naming)
        if claim_holder(remote.backend, remote.naming) is not None:
            continue
        try:
            found = _Reader(remote, local, generation, progress).read()
        except Unavailable:
            raise
        except StrataError:
            # What was changed while it was read looks damaged.
            if _is_unchanged(remote, generation):
                raise
            continue
        if _is_unchanged(remote, generation):
            return found
    remote = connect()
    with RemoteWriter(remote, local).claim("synchronize") as held:
        return _Reader(remote, local, held.generation, progress, held.renew).read()


def _is_unchanged(remote: Remote, generation: str | None) -> bool:
    return read_generation(remote.backend, remote.naming) == generation


@dataclass
class _Reader:
    remote: Remote
    local: Local
    generation: str | None
    progress: Progress
    renew: Callable[[], None] = lambda: None

    def read(self) -> Survey:
        layers: dict[ItemName, LayerItem] = {}
        templates: dict[str, TemplateItem] = {}
        names = self.remote.names()
        for number, entry in enumerate(names, 1):
            self.renew()
            if entry.kind == TEMPLATE:
                template = self.remote.template(entry.name, entry.path)
                if template is not None:
                    templates[entry.name] = template
            else:
                for listed in self.remote.versions(entry):
                    layer = read_layer(self.remote, self.local, listed)
                    if layer is not None:
                        layers[listed.item] = layer
            self.progress("compare with the upstream", 100 * number // len(names), 100)
        return Survey(self.generation, layers, templates, frozenset(self._moved(layers)))

    def _moved(self, found: Mapping[ItemName, LayerItem]) -> Iterator[ItemName]:
        """Yield layer versions of this repository that were not found, although their tags exist."""
        for item in self.local.items():
            if item.is_layer and item not in found:
                location = self.remote.find(item)
                if self.remote.backend.digest_of(location.repository, location.tag) is not None:
                    yield item


def read_layer(remote: Remote, local: Local, listed: Listed) -> LayerItem | None:
    """Return a layer version of the registry; of a version that ``local`` has, only the details are read."""
    mine = local.layer(listed.item)
    if mine is not None and mine.digest == listed.digest:
        described = remote.details_of(listed.location, listed.digest)
        if described is not None:
            return replace(mine, location=listed.location, details=described)
    return remote.layer(listed.item, listed.path)
