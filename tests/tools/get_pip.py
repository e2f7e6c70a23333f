# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in for the get-pip script that ansible-test would download: takes the pip that Python carries, the rest comes from the package index."""

from __future__ import annotations

import ensurepip
import pathlib
import runpy
import sys
import sysconfig

# Debian keeps the wheel in a folder of its own.
folders = [pathlib.Path(ensurepip.__file__).parent / "_bundled"]
if sysconfig.get_config_var("WHEEL_PKG_DIR"):
    folders.append(pathlib.Path(sysconfig.get_config_var("WHEEL_PKG_DIR")))
wheels = [wheel for folder in folders for wheel in folder.glob("pip-*.whl")]
if not wheels:
    raise SystemExit(f"There is no pip wheel in {' or '.join(map(str, folders))}.")
sys.path.insert(0, str(wheels[0]))
sys.argv = ["pip", "install"] + [
    argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")
]
sys.modules.pop("pip", None)
runpy.run_module("pip", run_name="__main__", alter_sys=True)
