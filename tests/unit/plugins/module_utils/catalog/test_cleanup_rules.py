# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules by which layer versions are deleted: what must hold for any catalog and any rules."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.catalog.cleanup_rules import (
    IN_USE,
    NEEDED,
    NEWEST,
    RECENT,
    WAS_USED,
    CleanupRules,
    Usage,
    decide,
)
from ansible_collections.strata.layering.plugins.module_utils.catalog.layer_document import LayerDocument
from ansible_collections.strata.layering.plugins.module_utils.catalog.layer_usage import UseHistory, User
from ansible_collections.strata.layering.tests.support.layer_documents import entry

NOW = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)
USER = User("image_template", "office")


def day(number):
    """Return the time ``number`` days ago."""
    return (NOW - datetime.timedelta(days=number)).isoformat()


def layer(kind, name, versions):
    """Return a layer whose versions have these ages in days."""
    document = LayerDocument.new(kind, name)
    for version, age in versions.items():
        document = document.with_version(version, entry(kind, created=day(age)))
    return document


def usage(users=None, dependents=None, last=None, in_images=()):
    return Usage(users or {}, dependents or {}, UseHistory(last=last or {}, in_images=set(in_images)))


TOOL = layer("app", "Tool", {"1": 400, "2": 300, "3": 5, "10": 1})


def kept(decision):
    return {key[2]: [reason.reason for reason in reasons] for key, reasons in decision.kept.items()}


def test_newest_versions_stay_in_natural_order():
    decision = decide([TOOL], CleanupRules(keep_newest=2), usage(), NOW)
    assert kept(decision) == {"3": [NEWEST], "10": [NEWEST]}
    assert decision.removed == [("app", "Tool", "1"), ("app", "Tool", "2")]


def test_versions_that_were_created_or_used_recently_stay():
    last = {("app", "Tool", "1"): day(10)}
    decision = decide([TOOL], CleanupRules(unused_for_days=90), usage(last=last), NOW)
    assert kept(decision) == {"1": [RECENT], "3": [RECENT], "10": [NEWEST, RECENT]}


def test_versions_that_were_part_of_an_image_stay():
    decision = decide([TOOL], CleanupRules(never_used=True), usage(in_images=[("app", "Tool", "1")]), NOW)
    assert kept(decision) == {"1": [WAS_USED], "10": [NEWEST]}


def test_newest_deployable_version_stays_although_a_newer_version_exists():
    document = TOOL.with_version("11", entry("app", status="Failed", created=day(300)))
    decision = decide([document], CleanupRules(), usage(), NOW)
    assert kept(decision) == {"10": [NEWEST]}


def test_version_that_is_needed_by_a_version_that_stays_stays_with_its_own_needs():
    windows = layer("os", "Windows", {"1": 400, "2": 400, "3": 400})
    key = ("app", "Tool", "2")
    dependents = {("os", "Windows", "1"): {key}, ("os", "Windows", "2"): {("app", "Tool", "1")}}
    decision = decide([windows, TOOL], CleanupRules(), usage({key: {USER}}, dependents), NOW)
    assert ("os", "Windows", "2") in decision.removed
    (reason,) = decision.kept["os", "Windows", "1"]
    assert (reason.reason, reason.objects) == (NEEDED, (User("app_layer", "Tool 2"),))
    assert [reason.reason for reason in decision.kept[key]] == [IN_USE]


def test_damaged_time_counts_as_recent():
    document = TOOL.with_version("1", entry("app", created="yesterday"))
    assert kept(decide([document], CleanupRules(unused_for_days=1), usage(), NOW))["1"] == [RECENT]


KEYS = [(kind, name, str(number)) for kind, name in (("os", "W"), ("app", "A"), ("app", "B")) for number in range(1, 5)]
_apps = [key for key in KEYS if key[0] == "app"]


@st.composite
def catalogs(draw):
    ages = draw(st.fixed_dictionaries({key: st.integers(0, 200) for key in KEYS}))
    present = draw(st.sets(st.sampled_from(KEYS), min_size=1))
    layers = {}
    for key in sorted(present):
        document = layers.setdefault(key[:2], LayerDocument.new(*key[:2]))
        status = draw(st.sampled_from(["Deployable", "Deployable", "Failed"]))
        layers[key[:2]] = document.with_version(key[2], entry(key[0], created=day(ages[key]), status=status))
    needs = draw(st.dictionaries(st.sampled_from(_apps), st.sets(st.sampled_from(KEYS), max_size=2)))
    dependents = {}
    for app, below in needs.items():
        for key in below - {app} if app in present else ():
            dependents.setdefault(key, set()).add(app)
    users = {key: {USER} for key in draw(st.sets(st.sampled_from(KEYS), max_size=3))}
    last = draw(st.dictionaries(st.sampled_from(KEYS), st.integers(0, 200).map(day)))
    in_images = draw(st.sets(st.sampled_from(KEYS)))
    return list(layers.values()), usage(users, dependents, last, in_images)


rules = st.builds(
    CleanupRules,
    keep_newest=st.integers(1, 4),
    unused_for_days=st.none() | st.integers(0, 200),
    never_used=st.booleans(),
)


@given(catalogs(), rules)
def test_any_decision_keeps_what_is_needed_and_nothing_else(catalog, rules):
    layers, used = catalog
    decision = decide(layers, rules, used, NOW)
    removed = set(decision.removed)
    every = {(document.kind, document.name, version) for document in layers for version in document.versions}
    assert removed | decision.kept.keys() == every
    assert removed.isdisjoint(decision.kept)
    assert removed.isdisjoint(used.users)
    for key in removed:
        assert used.dependents.get(key, set()) <= removed
        assert not (rules.never_used and key in used.history.in_images)
        age = min(_age(layers, key), _days(used.history.last.get(key)))
        assert rules.unused_for_days is None or age >= rules.unused_for_days
    for document in layers:
        deployable = document.deployable_versions() or document.sorted_versions()
        assert all(
            (document.kind, document.name, version) not in removed for version in deployable[-rules.keep_newest :]
        )
    assert all(decision.kept.values())


@given(catalogs(), rules)
def test_stricter_rules_remove_no_other_versions(catalog, rules):
    layers, used = catalog
    stricter = CleanupRules(
        keep_newest=rules.keep_newest + 1, unused_for_days=rules.unused_for_days, never_used=rules.never_used
    )
    assert set(decide(layers, stricter, used, NOW).removed) <= set(decide(layers, rules, used, NOW).removed)


def _age(layers, key):
    (document,) = [document for document in layers if (document.kind, document.name) == key[:2]]
    return _days(document.versions[key[2]].created)


def _days(time):
    return 10**6 if time is None else (NOW - datetime.datetime.fromisoformat(time)).days


@pytest.mark.parametrize("count", [0, 1])
def test_at_least_one_version_stays(count):
    assert kept(decide([TOOL], CleanupRules(keep_newest=count), usage(), NOW)) == {"10": [NEWEST]}
