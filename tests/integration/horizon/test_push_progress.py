# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines that ansible-playbook prints while horizon_image_push waits."""

from __future__ import annotations

import re
import threading

from ansible_collections.strata.layering.tests.support.horizon_push_site import MODULE
from ansible_collections.strata.layering.tests.support.playbooks import run_plays


def test_playbook_prints_the_percentage_and_the_machines(site, tmp_path):
    site.add_pool()
    site.add_pool("finance")
    session = site.horizon.add_session("sales-1")
    site.horizon.stick_publish(target="finance", progress=43)
    task = {f"strata.layering.{MODULE}": site.options | {"pools": ["sales", "finance"], "wait_for": "machines"}}
    play = {"hosts": "all", "gather_facts": False, "tasks": [task], "vars": {"strata_layering_progress": "always"}}
    timers = [
        threading.Timer(8, site.horizon.release_publish, ["finance"]),
        threading.Timer(8, site.horizon.end_session, [session]),
    ]
    for timer in timers:
        timer.start()
    try:
        done = run_plays(tmp_path, [play], {})
    finally:
        for timer in timers:
            timer.cancel()
    assert done.code == 0, done.output
    lines = set(re.findall(r"^(?:sales|finance): .*$", done.output, re.MULTILINE))
    assert {"finance: publishing 43 %", "sales: 2 of 3 machines, 1 session"} <= lines
