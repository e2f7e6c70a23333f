# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decisions of a transfer about layer versions and templates."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.catalog.layer_document import LayerDocument
from ansible_collections.strata.layering.plugins.module_utils.catalog.template_document import TemplateDocument
from ansible_collections.strata.layering.plugins.module_utils.catalog.version_name import VersionName
from ansible_collections.strata.layering.plugins.module_utils.distribution.items.details import Details
from ansible_collections.strata.layering.plugins.module_utils.distribution.items.items import LayerFields, LayerItem
from ansible_collections.strata.layering.plugins.module_utils.distribution.items.names import ItemName
from ansible_collections.strata.layering.plugins.module_utils.distribution.items.template_item import of_document
from ansible_collections.strata.layering.plugins.module_utils.distribution.transfers.decision import (
    CHANGES,
    Action,
    Decision,
    Known,
    Reason,
    decide_layer,
    decide_template,
)
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerReference, LayerVersion
from ansible_collections.strata.layering.tests.support.layer_documents import software_entry

BASE = LayerReference("os", "Windows", "1", "sha256:" + "0" * 64)
TIMES = st.sampled_from([None, "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"])


def layer(digest="a", content="c", text="", updated=None, *, derived=False) -> LayerItem:
    """Return a version of an app layer."""
    digest, content = ("sha256:" + letter * 64 for letter in (digest, content))
    document = dataclasses.replace(
        LayerDocument.new("app", "Editor"),
        versions={"1.0": software_entry(digest=digest, content_digest=content, version_description=text)},
    )
    version = LayerVersion("app", "Editor", "1.0", os_layer=BASE, content_digest=content)
    details = Details(document, updated, derived=derived)
    return LayerItem(ItemName("app", "Editor", "1.0"), b"{}", digest, version=version, details=details)


def template(text="", revision=0):
    """Return a template as an artifact."""
    document = TemplateDocument(
        name="office",
        description=text,
        os_layer=VersionName("Windows", "1"),
        app_layers=(),
        platform_layer=None,
        connector="vdi",
        disk_size_gb=None,
        vm_name="office",
        publish_mode="full",
        created="2026-01-01T00:00:00Z",
    )
    return of_document(document, (BASE,), None, revision)


OLD, NEW = "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"
FIELDS = LayerFields("old", 500, None), LayerFields("new", 500, None)


@pytest.mark.parametrize(
    "source, target, fields, pull, expected",
    [
        (layer(), None, (None, None), True, Decision(Action.COPY)),
        (layer(), layer(), (None, None), True, Decision(Action.KEEP)),
        (layer("a"), layer("b"), (None, None), True, Decision(Action.SAME_CONTENT)),
        (layer("a", "c"), layer("b", "d"), (None, None), True, Decision(Action.CONFLICT, Reason.OTHER_CONTENT)),
        (layer(text="x"), layer(), (None, None), False, Decision(Action.DETAILS)),
        (layer(), layer(), FIELDS, False, Decision(Action.DETAILS)),
        (layer(text="x", derived=True), layer(), FIELDS, True, Decision(Action.KEEP)),
        # A pull takes newer details only; the target may have changed the details that it got.
        (layer(text="x", updated=NEW), layer(updated=OLD), (None, None), True, Decision(Action.DETAILS)),
        (layer(text="x", updated=OLD), layer(updated=OLD), (None, None), True, Decision(Action.KEEP, Reason.TARGET_IS_NEWER)),
        (layer(text="x", updated=OLD), layer(updated=NEW), (None, None), True, Decision(Action.KEEP, Reason.TARGET_IS_NEWER)),
        # A push sends what was changed here since the last exchange.
        (layer(text="x", updated=OLD), layer(updated=OLD), (None, None), False, Decision(Action.DETAILS)),
        (layer(text="x", updated=OLD), layer(updated=NEW), (None, None), False, Decision(Action.KEEP, Reason.TARGET_IS_NEWER)),
        (layer(text="x"), layer(updated=NEW), (None, None), False, Decision(Action.DETAILS)),
    ],
)  # fmt: skip
def test_layer(source, target, fields, pull, expected):
    assert decide_layer(source, target, fields, pull=pull) == expected


@given(st.sampled_from("ab"), st.sampled_from("cd"), TIMES, TIMES, st.booleans())
def test_manifest_of_a_layer_is_never_replaced(digest, content, mine, its, pull):
    decision = decide_layer(layer(digest, content, "x", mine), layer(updated=its), pull=pull)
    assert decision.action is not Action.COPY
    if digest != "a":
        assert decision.action not in CHANGES


A, B, C = (template(text).content for text in ("a", "b", "c"))


@pytest.mark.parametrize(
    "source, target, known, force, expected",
    [
        (template("a"), None, None, False, Decision(Action.COPY)),
        (template("a"), template("a"), None, False, Decision(Action.KEEP)),
        (template("b"), template("a"), Known(A, 1), False, Decision(Action.REPLACE)),
        (template("a"), template("b"), Known(A, 1), False, Decision(Action.KEEP, Reason.TARGET_IS_NEWER)),
        (template("b"), template("c"), Known(A, 1), False, Decision(Action.CONFLICT, Reason.BOTH_CHANGED)),
        (template("a"), template("b"), None, False, Decision(Action.CONFLICT, Reason.BOTH_CHANGED)),
        (template("a"), template("b"), None, True, Decision(Action.REPLACE)),
        (template("a", 1), template("b"), Known(B, 2), False, Decision(Action.CONFLICT, Reason.OLDER_REVISION)),
        (template("a", 1), template("b"), Known(B, 2), True, Decision(Action.CONFLICT, Reason.OLDER_REVISION)),
        (template("a", 3), template("b"), Known(B, 2), False, Decision(Action.REPLACE)),
    ],
)
def test_template(source, target, known, force, expected):
    assert decide_template(source, target, known, force=force) == expected


@given(*[st.sampled_from("abc")] * 3, st.integers(0, 3), st.integers(0, 3), st.booleans())
def test_template_is_replaced_only_if_the_target_did_not_change(source, target, known, revision, last, force):
    decision = decide_template(
        template(source, revision), template(target), Known(template(known).content, last), force=force
    )
    if decision.action is Action.REPLACE:
        assert force or known == target
        assert not 0 < revision < last
