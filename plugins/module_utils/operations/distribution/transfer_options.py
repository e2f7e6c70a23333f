# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the module layer_transfer."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...common.errors import InvalidInput
from ...common.option_values import not_text
from ...distribution.transfers.selection import LayerChoice, Selection, TemplateChoice
from ..options import RepositoryOptions
from .remote_options import RemoteOptions
from .trust_options import SigningOptions, VerificationOptions

_TEMPLATE_KEYS = frozenset(("name", "path"))


class TransferState(enum.Enum):
    """The desired state: where layers and templates are."""

    PUSHED = "pushed"
    PULLED = "pulled"
    ABSENT = "absent"


@dataclass(frozen=True, kw_only=True)
class LayerTransferOptions:
    """Options of the module layer_transfer. ``connectors`` has local names by the names at the remote."""

    repository: RepositoryOptions
    remote: RemoteOptions
    state: TransferState
    selection: Selection
    verification: VerificationOptions
    signing: SigningOptions
    connectors: Mapping[str, str] = field(default_factory=dict)
    force: bool = False

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> LayerTransferOptions:
        """Read the parameters of the module.

        Raises:
            InvalidInput: ``operations.transfer_selection`` if nothing is selected, or everything is to be deleted;
                ``operations.transfer_template``, ``operations.transfer_connector`` for elements that are not valid;
                other codes of ``RemoteOptions.from_params``.
        """
        state = TransferState(params["state"])
        return cls(
            repository=RepositoryOptions.from_params(params),
            remote=RemoteOptions.from_params(params),
            state=state,
            selection=_selection(params, state),
            verification=VerificationOptions.from_params(params),
            signing=SigningOptions.from_params(params),
            connectors=_connectors(params["connectors"] or {}),
            force=params["force"],
        )


def _selection(params: Mapping[str, Any], state: TransferState) -> Selection:
    layers, templates = params["layers"] or (), params["templates"] or ()
    if params["everything"] and (state is TransferState.ABSENT or layers or templates):
        reason = "everything is not allowed with state absent" if state is TransferState.ABSENT else ""
        raise InvalidInput(
            f"The options contradict each other: {reason or 'everything is set together with layers or templates'}.",
            code="operations.transfer_selection",
            hint="Remove everything, and list layers and templates."
            if state is TransferState.ABSENT
            else "List layers and templates, or set everything.",
        )
    if not (params["everything"] or layers or templates):
        raise InvalidInput(
            "No layers and templates are selected.",
            code="operations.transfer_selection",
            hint="Set layers, templates or everything.",
        )
    return Selection(
        layers=tuple(
            dict.fromkeys(
                LayerChoice(layer["kind"], layer["name"], layer["version"] or None, layer["path"] or None)
                for layer in layers
            )
        ),
        templates=tuple(_templates(templates)),
        images=params["images"],
        everything=params["everything"],
    )


def _templates(values: Iterable[object]) -> Iterable[TemplateChoice]:
    """Yield the templates of the option ``templates``, each of which is a name or a mapping."""
    for number, value in enumerate(values):
        option = f"templates[{number}]"
        entry = value if isinstance(value, dict) else {"name": value}
        if not set(entry) <= _TEMPLATE_KEYS or entry.get("name") in (None, ""):
            raise InvalidInput(
                f"The option {option} is neither a name nor a mapping with the keys name and path.",
                code="operations.transfer_template",
                hint="Write the name of the template, or {name: NAME, path: PATH}.",
                option=option,
            )
        yield TemplateChoice(
            _text(entry["name"], option), _text(entry["path"], f"{option}.path") if entry.get("path") else None
        )


def _text(value: object, option: str) -> str:
    """Return a text, or a whole number as text: YAML has already changed other numbers and booleans."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise not_text(option, f"the value {str(value).lower()}", "Write it in quotes.")
    return str(value).strip()


def _connectors(values: Mapping[object, object]) -> dict[str, str]:
    for remote, local in values.items():
        if not isinstance(local, str) or not local or not isinstance(remote, str):
            raise InvalidInput(
                f"The option connectors has no name of a local connector for {str(remote)!r}.",
                code="operations.transfer_connector",
                hint="Write connectors as a mapping of names at the remote to names of connectors in the repository.",
            )
    return {str(remote): str(local) for remote, local in values.items()}
