#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the variables of a role of this collection. The action plugin of the same name runs no module."""

from __future__ import annotations

DOCUMENTATION = r"""
module: role_variables
short_description: Check the variables of a role
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - The first task of each role of this collection. It finds mistakes that the validation of role arguments accepts.
  - A variable whose name is very similar to that of a variable of the role must be a variable of the role. Other variables that begin with the
    name of the role give a warning, because they can belong to something else.
  - The variable C(layering_own_variables) lists names, or patterns such as C(app_layer_site_*), that have other purposes.
  - Names and versions must be text, because YAML reads V(1.10) as the number 1.1. Entries of layer versions must have a version.
  - It can only be used in a role of this collection.
options:
  types:
    description: The types of variables that can also be empty, such as C(int), by name.
    type: dict
    default: {}
  choices:
    description: The values of variables that can also be empty, by name.
    type: dict
    default: {}
  work:
    description: Names of variables. If all of them are empty, the task reports that the role has nothing to do.
    type: list
    elements: str
    default: []
  collections:
    description: Names of collections that the role needs only for some values of its variables.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: The action changes nothing; it does the same in check mode.
  diff_mode:
    support: none
    description: The action changes nothing, so it returns no difference.
"""

EXAMPLES = r"""
- name: Check the variables of the role
  strata.layering.role_variables:
    work: [app_layer_versions, app_layer_packages]
"""

RETURN = r"""
idle:
  description: Whether the role can end, because all variables in O(work) are empty or, in check mode, the modules cannot run yet.
  returned: always
  type: bool
missing_collections:
  description: The names in O(collections) of collections that are not installed.
  returned: always
  type: list
  elements: str
problems:
  description: The problems that were found.
  returned: always
  type: list
  elements: dict
  contains:
    problem:
      description: V(unknown) for a name that is not a variable of the role, V(type), V(not_text), or V(missing) for an entry without a version.
      type: str
    variable:
      description: The variable, or the entry of a variable.
      type: str
    suggestion:
      description: For V(unknown), the name of a similar variable, if there is one.
      type: str
    misspelled:
      description: For V(unknown), always V(true). A variable that may have a different purpose gives a warning instead.
      type: bool
    message:
      description: The message.
      type: str
"""
