# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A noise profile: what Windows changes by itself, and its stored form.

The stored form is a Zstandard frame with a header line of JSON, followed by the registry deltas in the order of the header.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ...common.errors import Corrupt
from ...common.optional_imports import zstandard
from ...winregistry.delta import Delta
from ...winregistry.delta_format import read_delta, write_delta
from ...winregistry.upcase import WINDOWS
from .similarity import shape_of_path

ADDED, CHANGED, REMOVED = "added", "changed", "removed"
FILE, DIRECTORY = "file", "directory"
#: What of a file or folder that existed before differs.
DATA, VALUES, ATTRIBUTES = "data", "values", "attributes"

_SCHEMA_VERSION = 1
#: Bytes of a profile before compression.
_MAXIMUM = 1 << 30
_HINT = "Store the noise profile of the OS layer version again, or set noise_profile to ignore for the layer."


@dataclass(frozen=True)
class PathNoise:
    """A path that Windows changed.

    ``change`` is added, changed or removed, ``kind`` is file or directory. ``aspects`` says what of a path that existed
    before differs. ``content`` is the digest of all streams, ``shape`` the digest of the text with placeholders; both
    are None if they are not known or do not apply.
    """

    path: str
    kind: str
    change: str
    aspects: tuple[str, ...] = ()
    content: str | None = None
    shape: str | None = None


@dataclass
class NoiseProfile:
    """The changes of paths by folded path, the deltas by hive, and the items that hazards would have named, by hazard."""

    paths: dict[str, PathNoise] = field(default_factory=dict)
    deltas: dict[str, Delta] = field(default_factory=dict)
    observed: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, paths: Iterable[PathNoise], deltas: Mapping[str, Delta], observed: Mapping[str, Iterable[str]]
    ) -> NoiseProfile:
        """Return the profile of these changes."""
        return cls(
            {WINDOWS.fold(noise.path): noise for noise in paths},
            dict(deltas),
            {name: tuple(items) for name, items in observed.items()},
        )

    def by_shape(self) -> dict[str, list[PathNoise]]:
        """Return the added files and folders whose path has generated parts, by the shape of their path."""
        found: dict[str, list[PathNoise]] = {}
        for noise in self.paths.values():
            if noise.change == ADDED and (shape := shape_of_path(noise.path)) is not None:
                found.setdefault(shape, []).append(noise)
        return found

    def counts(self) -> dict[str, int]:
        """Return the numbers of paths, keys and values that Windows changed."""
        counts = [delta.counts() for delta in self.deltas.values()]
        return {
            "paths": len(self.paths),
            "keys": sum(count.keys_added + count.keys_changed + count.keys_removed for count in counts),
            "values": sum(count.values_added + count.values_changed + count.values_removed for count in counts),
        }

    def encode(self) -> bytes:
        """Return the stored form; equal profiles have the same form."""
        deltas = [(name, write_delta(delta)) for name, delta in sorted(self.deltas.items())]
        header = {
            "schema_version": _SCHEMA_VERSION,
            "paths": [asdict(self.paths[folded]) for folded in sorted(self.paths)],
            "observed": {name: sorted(items) for name, items in sorted(self.observed.items())},
            "deltas": [{"hive": name, "size": len(data)} for name, data in deltas],
        }
        text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        plain = text.encode("ascii") + b"\n" + b"".join(data for _name, data in deltas)
        return zstandard.ZstdCompressor(level=9, write_checksum=True).compress(plain)

    @classmethod
    def decode(cls, stored: bytes) -> NoiseProfile:
        """Return the profile of a stored form.

        Raises:
            Corrupt: ``capture.noise_profile`` if the form is damaged, too large, or of a newer version.
        """
        try:
            return cls._from_header(*_split(_decompressed(stored)))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, zstandard.ZstdError) as error:
            raise _damaged(f"{type(error).__name__}") from None

    @classmethod
    def _from_header(cls, header: dict[str, Any], rest: bytes) -> NoiseProfile:
        if header["schema_version"] != _SCHEMA_VERSION:
            raise _damaged(f"its version is {header['schema_version']!r}, not {_SCHEMA_VERSION}")
        paths = [_path_noise(item) for item in header["paths"]]
        deltas: dict[str, Delta] = {}
        position = 0
        for item in header["deltas"]:
            name, size = str(item["hive"]), int(item["size"])
            if size < 0 or position + size > len(rest):
                raise _damaged("a registry delta is truncated")
            deltas[name] = read_delta(rest[position : position + size], name=f"{name} of the noise profile")
            position += size
        observed = {str(name): tuple(map(str, items)) for name, items in header["observed"].items()}
        return cls.of(paths, deltas, observed)


def _path_noise(item: Mapping[str, Any]) -> PathNoise:
    noise = PathNoise(**{**item, "aspects": tuple(item["aspects"])})
    texts = (noise.path, noise.kind, noise.change, *noise.aspects, noise.content or "", noise.shape or "")
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a field is not text")
    return noise


def _decompressed(stored: bytes) -> bytes:
    size = zstandard.get_frame_parameters(stored).content_size
    if size > _MAXIMUM:
        raise _damaged(f"it has more than {_MAXIMUM} bytes")
    return zstandard.ZstdDecompressor(max_window_size=1 << 27).decompress(stored)


def _split(plain: bytes) -> tuple[dict[str, Any], bytes]:
    line, _newline, rest = plain.partition(b"\n")
    return json.loads(line), rest


def _damaged(problem: str) -> Corrupt:
    return Corrupt(f"The noise profile is damaged: {problem}.", code="capture.noise_profile", hint=_HINT)
