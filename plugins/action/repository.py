# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action of the module repository, which prints the progress of the module."""

from __future__ import annotations

from ansible_collections.strata.layering.plugins.plugin_utils.progress_action import ProgressAction


class ActionModule(ProgressAction):
    """Run the module and print its progress."""
