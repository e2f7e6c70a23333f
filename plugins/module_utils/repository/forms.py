# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every document of a kind has, so that one that was damaged is told by name instead of stumbled over.

A form is a type; a tuple of forms of which one fits; a dict of forms for the keys that must be
there (others may be); ``Each`` of a form for the values of an object; a list of one form for a list.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Each:
    """An object whose values all have ``form``."""

    form: object


_NAMED = {"name": str, "version": str}
_VERSION = {"digest": str, "status": str}
_VCENTER = {"hostname": str, "instance_uuid": str}
_GROUND = {"os_layer": _NAMED, "prerequisites": [_NAMED]}
_FORMS = {
    "os_layer": {"versions": Each(_VERSION)},
    "app_layer": {"versions": Each(_VERSION | _GROUND), "priority": int},
    "platform_layer": {"versions": Each(_VERSION | _GROUND)},
    "image_template": {
        "os_layer": _NAMED,
        "app_layers": [_NAMED],
        "platform_layer": (_NAMED, None),
        "connector": str,
        "vm_name": str,
        "publish_mode": str,
    },
    "connector": {"name": str, "datacenter": str},
    "image": {"images": [{"content_digest": str, "vcenter": _VCENTER}]},
    "packaging": {"given": {"content_digest": str}},
    "task": {"id": str, "template": str, "created": str, "status": str, "vcenter": _VCENTER},
}


def has_form(kind: str, document: object) -> bool:
    """Whether ``document`` has what every document of this kind has; of kinds that are not known nothing is asked."""
    return isinstance(document, dict) and _fits(document, _FORMS.get(kind, {}))


def _fits(value: object, form: object) -> bool:
    if form is None:
        return value is None
    if isinstance(form, tuple):
        return any(_fits(value, one) for one in form)
    if isinstance(form, Each):
        return isinstance(value, dict) and all(_fits(one, form.form) for one in value.values())
    if isinstance(form, list):
        return isinstance(value, list) and all(_fits(one, form[0]) for one in value)
    if isinstance(form, dict):
        return isinstance(value, dict) and all(key in value and _fits(value[key], one) for key, one in form.items())
    return isinstance(value, form)
