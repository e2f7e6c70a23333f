# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the repository options."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  repository:
    description:
      - The folder of the repository with layers, templates and images, on a local disk or a mounted share of the composer.
      - If not set, the environment variable E(STRATA_REPOSITORY) is used.
    type: path
    required: true
requirements:
  - python >= 3.11
"""

    CHANGES = r"""
options:
  comment:
    description: The reason for the change. It is stored in the audit history of the repository.
    type: str
"""
