# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from unittest import mock

import pytest
import yaml

from ansible_collections.strata.layering.plugins.action.horizon_image_push import ActionModule
from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.operations.desktops.horizon_push_options import (
    parse_start_time,
)
from ansible_collections.strata.layering.plugins.plugin_utils.progress_action import ProgressAction

_EVENING = 1796158800000


def _sent(start_time: str) -> str:
    """Return the start time that the module receives if a playbook has this text without quotes."""
    action = ActionModule.__new__(ActionModule)
    action._task = mock.Mock(args=yaml.safe_load(f"start_time: {start_time}"))
    with mock.patch.object(ProgressAction, "run", return_value={}):
        action.run()
    return action._task.args["start_time"]


@pytest.mark.parametrize(
    "text", ["2026-12-01T22:00:00+01:00", "2026-12-01 22:00:00 +01:00", "2026-12-01T21:00:00Z", "'2026-12-01T21:00Z'"]
)
def test_time_without_quotes_keeps_its_offset(text):
    assert parse_start_time(_sent(text)) == _EVENING


def test_time_without_quotes_and_offset_is_refused():
    with pytest.raises(InvalidInput) as caught:
        parse_start_time(_sent("2026-12-01T22:00:00"))
    assert caught.value.code == "operations.push_start_time"
