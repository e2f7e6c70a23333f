# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The attributes that modules have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
attributes:
  check_mode:
    support: full
    description: Can run in check mode and tell what would change, without changing anything.
  diff_mode:
    support: full
    description: Returns what changed, or in check mode what would change.
  action_group:
    support: full
    description: Use the group C(strata.layering.layering) in C(module_defaults) to set defaults for all modules of this collection.
    membership:
      - strata.layering.layering
"""

    INFO = r"""
attributes:
  check_mode:
    support: full
    description: Reads only, so that check mode makes no difference.
  diff_mode:
    support: none
    description: There is nothing to compare.
  action_group:
    support: full
    description: Use the group C(strata.layering.layering) in C(module_defaults) to set defaults for all modules of this collection.
    membership:
      - strata.layering.layering
"""
