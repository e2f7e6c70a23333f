# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine that waits for somebody to answer vSphere."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import TimedOut
from ansible_collections.strata.layering.plugins.module_utils.publish import steps

FACTS = SimpleNamespace(name="office-1", folder_path="/DC/vm/Images", datacenter="DC", extra_config={})
ASKED = "There is no more space for the virtual disk."


@pytest.fixture
def run():
    template = SimpleNamespace(content_digest="sha256:12", publish_mode="automatic")
    return SimpleNamespace(session=None, template=template, options=steps.PublishOptions(), begin=lambda *given: None)


def test_while_its_scripts_run(run):
    with pytest.raises(steps.ActionRequired) as caught:
        steps._GuestWatch(run, FACTS).look({}, False, ASKED)
    assert all(
        part in caught.value.message for part in ("office-1", "/DC/vm/Images", ASKED, "vSphere Client", "run again")
    )


@pytest.mark.parametrize(("asked", "error"), [(ASKED, steps.ActionRequired), (None, TimedOut)])
def test_while_it_is_powered_on(run, monkeypatch, asked, error):
    def late(*given, **named):
        raise TimedOut("Powering on office-1 took longer than 300 seconds.")

    said = {
        "power_on": late,
        "pending_question": lambda *given: asked,
        "reconfigure": lambda *given, **named: None,
        "last_power_on": lambda *given: None,
    }
    monkeypatch.setattr(steps, "machines", SimpleNamespace(**said))
    monkeypatch.setattr(steps, "read_facts", lambda *given: FACTS)
    with pytest.raises(error) as caught:
        steps.power_on(run, None)
    assert (asked or "300 seconds") in caught.value.message
