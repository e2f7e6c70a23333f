# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual environment that the role composer uses."""

from __future__ import annotations

import json
import pathlib

from ansible_collections.strata.layering.tests.support.playbooks import run_plays

_VARIABLES = pathlib.Path(__file__).resolve().parents[3] / "roles" / "composer" / "vars" / "main.yml"
_DEFAULT = "/home/layering/.local/share/strata.layering/venv"
#: composer_virtualenv, whether the Python is externally managed, the libraries that it lacks, and the environment to use.
_CASES = [
    ("", True, ["numpy>=1.26"], _DEFAULT),
    ("", True, [], ""),
    ("", False, ["numpy>=1.26"], ""),
    ("/srv/venv", True, ["numpy>=1.26"], "/srv/venv"),
    ("/srv/venv", False, [], "/srv/venv"),
]


def test_virtual_environment_is_used_if_the_python_is_externally_managed_and_lacks_libraries(tmp_path):
    tasks: list[dict] = [{"ansible.builtin.include_vars": str(_VARIABLES)}]
    for number, (folder, managed, requirements, _expected) in enumerate(_CASES):
        found = json.dumps({"managed": managed, "requirements": requirements})
        content = "{{ [composer_virtualenv_effective | trim, composer_python | trim] | to_json }}"
        tasks.append(
            {
                "ansible.builtin.copy": {"content": content, "dest": str(tmp_path / f"{number}.json")},
                "vars": {
                    "composer_virtualenv": folder,
                    "composer_system_result": {"stdout": found},
                    "ansible_facts": {"user_dir": "/home/layering", "python": {"executable": "/usr/bin/python3"}},
                },
            }
        )
    done = run_plays(tmp_path, [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}], {})
    assert done.code == 0, done.output
    used = [tuple(json.loads((tmp_path / f"{number}.json").read_text())) for number in range(len(_CASES))]
    assert used == [(case[3], f"{case[3]}/bin/python" if case[3] else "/usr/bin/python3") for case in _CASES]
