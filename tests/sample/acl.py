# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The security descriptors that Windows sets on paths; all other paths inherit."""

from __future__ import annotations

from . import sddl

_PROGRAMS = (
    "O:TIG:TID:PAI(A;;0x1301bf;;;SY)(A;OICIIO;GA;;;SY)(A;;0x1301bf;;;BA)(A;OICIIO;GA;;;BA)(A;;0x1200a9;;;BU)(A;OICIIO;GXGR;;;BU)"
    "(A;OICIIO;GA;;;CO)(A;;FA;;;TI)(A;CIIO;GA;;;TI)(A;;0x1200a9;;;AC)(A;OICIIO;GXGR;;;AC)(A;;0x1200a9;;;RA)(A;OICIIO;GXGR;;;RA)"
)
_SYSTEM_FILE = "O:TIG:TID:PAI(A;;FA;;;TI)(A;;0x1200a9;;;BA)(A;;0x1200a9;;;SY)(A;;0x1200a9;;;BU)(A;;0x1200a9;;;AC)(A;;0x1200a9;;;RA)"
_PRIVATE = "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
_EVERYONE_READS = "(A;;0x1200a9;;;BU)(A;OICIIO;GXGR;;;BU)(A;;0x1200a9;;;WD)(A;OICIIO;GXGR;;;WD)"
_OLD_NAME = "O:SYG:SYD:PAI(D;;CC;;;WD)(A;;0x1200a9;;;WD)(A;;FA;;;SY)(A;;FA;;;BA)"

_BY_PATH = {
    "": "O:TIG:TID:PAI(A;OICIIO;SDGXGWGR;;;AU)(A;;LC;;;AU)(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)",
    "Windows": _PROGRAMS,
    "Program Files": _PROGRAMS,
    "Program Files (x86)": _PROGRAMS,
    "Windows/System32": _PROGRAMS,
    "Windows/SysWOW64": _PROGRAMS,
    "Windows/WinSxS": "O:TIG:TID:PAI(A;OICI;FA;;;TI)(A;OICI;0x1200a9;;;SY)(A;OICI;0x1200a9;;;BA)(A;OICI;0x1200a9;;;BU)(A;OICI;0x1200a9;;;AC)",
    "Windows/System32/config": "O:SYG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICIIO;GA;;;CO)",
    "Windows/Temp": "O:SYG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICIIO;GA;;;CO)(A;CI;0x100026;;;BU)",
    "Windows/Prefetch": _PRIVATE,
    "ProgramData": "O:SYG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICIIO;GA;;;CO)(A;OICI;0x1200a9;;;BU)(A;CI;0x116;;;BU)",
    "Users": "O:SYG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)" + _EVERYONE_READS,
    "Users/Default": "O:SYG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)" + _EVERYONE_READS,
    "Users/Public": "O:SYG:SYD:PAI(A;OICI;FA;;;BA)(A;OICIIO;GA;;;CO)(A;OICI;FA;;;SY)(A;OICIIO;SDGXGWGR;;;IU)(A;;0x1201af;;;IU)(A;;0x1201af;;;SU)",
    "Users/Administrator": "O:SYG:SYD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;LA)",
    "Documents and Settings": _OLD_NAME,
    "Users/Default User": _OLD_NAME,
    "Users/All Users": "O:SYG:SYD:PAI(A;;FA;;;SY)(A;;FA;;;BA)(A;;0x1200a9;;;WD)",
    "$Recycle.Bin": "O:SYG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;;0x1201bf;;;BU)",
    "System Volume Information": "O:BAG:SYD:PAI(A;OICI;FA;;;SY)",
    "Recovery": _PRIVATE,
    "pagefile.sys": "O:BAG:SYD:P(A;;FA;;;SY)(A;;FA;;;BA)",
    "hiberfil.sys": "O:BAG:SYD:P(A;;FA;;;SY)(A;;FA;;;BA)",
    "bootmgr": _SYSTEM_FILE,
}
_COMPILED: dict[str, bytes] = {}


def _compiled(text: str) -> bytes:
    if text not in _COMPILED:
        _COMPILED[text] = sddl.compile_sddl(text)
    return _COMPILED[text]


def own(path: str) -> bytes | None:
    """Return the descriptor that Windows sets on ``path`` itself; None where the path inherits."""
    if path in _BY_PATH:
        return _compiled(_BY_PATH[path])
    folder, _slash, name = path.rpartition("/")
    if name.lower().endswith((".dll", ".exe", ".sys")) and (
        folder in ("Windows", "Windows/System32") or folder.startswith("Windows/WinSxS/")
    ):
        return _compiled(_SYSTEM_FILE)
    return None
