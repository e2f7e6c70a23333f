# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The encoding and the line ends of scripts, as cmd.exe and Windows PowerShell 5.1 read them.

cmd.exe reads bytes in the OEM code page: it takes a byte order mark for part of the first command, cannot run
UTF-16, and misses labels if lines end with LF alone. Windows PowerShell reads a file without a byte order mark in
the ANSI code page. Source: Microsoft Learn, about_Character_Encoding.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from ..common.errors import InvalidInput

_BATCH = (".cmd", ".bat")
_SIGNATURE = b"# SIG # Begin signature block"
_BARE_LF = re.compile(rb"(?<!\r)\n")
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_CODE_PAGE = re.compile(rb"(?im)^[@\s]*chcp(\.com)?\s+\d")
_SAMPLE = 64


@dataclass(frozen=True, slots=True)
class ScriptText:
    """A script as it is stored, and warnings about what may be read in another way in the image."""

    data: bytes
    warnings: tuple[str, ...] = ()


def prepare_script(path: str, data: bytes) -> ScriptText:
    """Return the script at ``path`` in a form that its interpreter reads as it was meant.

    Batch files get the line ends of Windows and lose a byte order mark. PowerShell scripts in UTF-8 get a byte order
    mark if they are not plain ASCII. A signed PowerShell script is not changed, because its signature would break.

    Raises:
        InvalidInput catalog.script_encoding: the interpreter cannot read the encoding.
    """
    is_batch = path.lower().endswith(_BATCH)
    encoding = _wide_encoding(data)
    if encoding is not None:
        is_marked = encoding == "UTF-16" and data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        if is_batch or not is_marked:
            raise _unreadable(path, encoding, is_batch)
        return ScriptText(data)
    return _batch(path, data) if is_batch else _powershell(path, data)


def _wide_encoding(data: bytes) -> str | None:
    """Return the name of an encoding with 16 or 32 bits for each character, None for other data."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "UTF-32"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16"
    sample = data[:_SAMPLE]
    zeros = max(sample[0::2].count(0), sample[1::2].count(0))
    return "UTF-16" if len(sample) > 3 and zeros * 4 > len(sample) else None


def _unreadable(path: str, encoding: str, is_batch: bool) -> InvalidInput:
    if is_batch:
        reader, target = "cmd.exe", "ASCII"
        hint = (
            f"Save it as plain text: 'iconv -f {encoding} -t {target}', or in PowerShell 'Set-Content -Encoding Ascii'."
        )
    else:
        reader = "Windows PowerShell"
        hint = f"Save it as UTF-8 with 'iconv -f {encoding} -t UTF-8'."
    return InvalidInput(
        f"The script {path} is {encoding} text, which {reader} cannot run.",
        code="catalog.script_encoding",
        hint=hint,
        path=path,
    )


def _batch(path: str, data: bytes) -> ScriptText:
    data = data.removeprefix(codecs.BOM_UTF8)
    if b"\0" in data:
        return ScriptText(data)  # A program is appended to the script: its bytes must not change.
    data = _BARE_LF.sub(b"\r\n", data) if b"\n" in data else data.replace(b"\r", b"\r\n")
    found = _NOT_ASCII.search(data)
    if found is None or _CODE_PAGE.search(data):
        return ScriptText(data)
    return ScriptText(
        data,
        (
            f"Line {_line(data, found.start())} of the script {path} is not plain ASCII: cmd.exe reads it in the OEM code "
            "page of the image, such as 437 or 850. Use ASCII, or begin the script with 'chcp 65001 > nul'.",
        ),
    )


def _powershell(path: str, data: bytes) -> ScriptText:
    found = _NOT_ASCII.search(data)
    if found is None or data.startswith(codecs.BOM_UTF8):
        return ScriptText(data)
    line = _line(data, found.start())
    if _SIGNATURE in data:
        problem = "The script is signed and is stored unchanged: sign it again as UTF-8 with a byte order mark."
    elif not _is_utf8(data):
        problem = "It is not UTF-8: save it as UTF-8."
    else:
        return ScriptText(codecs.BOM_UTF8 + data)
    return ScriptText(
        data,
        (
            f"Line {line} of the script {path} is not plain ASCII: Windows PowerShell reads it in the ANSI code page of the "
            f"image. {problem}",
        ),
    )


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _line(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1
