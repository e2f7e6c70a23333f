# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of attributes that all modules have."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
attributes:
  check_mode:
    support: full
    description: In check mode, the module reports what would change and changes nothing.
  diff_mode:
    support: full
    description: The module returns what changed, or in check mode what would change.
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
    description: The module changes nothing; it does the same in check mode.
  diff_mode:
    support: none
    description: The module changes nothing, so it returns no difference.
  action_group:
    support: full
    description: Use the group C(strata.layering.layering) in C(module_defaults) to set defaults for all modules of this collection.
    membership:
      - strata.layering.layering
"""
