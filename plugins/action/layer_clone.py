# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action of the module layer_clone, which refuses dates as versions."""

from __future__ import annotations

from ansible_collections.strata.layering.plugins.plugin_utils.checked_action import CheckedAction


class ActionModule(CheckedAction):
    """Check the versions and run the module."""
