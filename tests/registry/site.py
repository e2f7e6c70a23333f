# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all connections of a registry share."""

from __future__ import annotations

import pathlib
import secrets
from dataclasses import dataclass, field
from typing import Any

from .faults import Journal, Rules
from .settings import Settings
from .store import Store
from .tokens import Tokens


@dataclass
class Site:
    """A registry with its settings, data, rules and journal. ``info`` has the addresses of its servers."""

    store: Store
    settings: Settings = field(default_factory=Settings)
    rules: Rules = field(default_factory=Rules)
    journal: Journal = field(default_factory=Journal)
    tokens: Tokens = field(default_factory=Tokens)
    info: dict[str, Any] = field(default_factory=dict)
    #: Part of the URLs of the object store, which need no other login.
    signature: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def in_folder(cls, folder: pathlib.Path, **settings: Any) -> Site:
        """Return a registry that has its data in a folder."""
        return cls(Store(folder), Settings().changed(**settings))

    def reset(self, settings: dict[str, Any]) -> None:
        """Remove data, rules, tokens and journal; set the settings, all others to their defaults."""
        self.settings = Settings().changed(**settings)
        self.rules.remove()
        self.tokens.clear()
        self.store.clear()
        self.journal.clear()
