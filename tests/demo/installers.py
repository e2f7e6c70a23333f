# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installers of the demo: an MSI package built by wixl and an executable built by NSIS."""

from __future__ import annotations

import itertools
import pathlib
import subprocess
import uuid
from xml.sax.saxutils import quoteattr

from .apps import DELETED, EDITOR

_NAMESPACE = uuid.UUID("b7c4a0f2-0f0e-4b7e-8a43-5d3c1f6f9e21")
_UNINSTALL = "Software\\Microsoft\\Windows\\CurrentVersion\\Uninstall"


def _tool(*command: str, cwd: pathlib.Path) -> None:
    result = subprocess.run(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(
            f"{command[0]} exited with code {result.returncode}: {result.stdout.decode('utf-8', 'replace')}"
        )


def _guid(text: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, text)).upper()


def editor(tree: pathlib.Path, folder: pathlib.Path, version: str) -> pathlib.Path:
    """Build the MSI package of the editor in ``folder`` and return its path; ``tree`` holds the files as on drive C."""
    numbers = itertools.count(1)
    registry = "".join(
        f'<RegistryValue Root="HKLM" Key="{key}" {name}Type="{kind}" Value={quoteattr(value)}/>'
        for key, name, kind, value in (
            ("Software\\Strata\\Editor", 'Name="Version" ', "string", version),
            ("Software\\Strata\\Editor", 'Name="Folder" ', "string", "[INSTALLDIR]"),
            ("Software\\Strata\\Editor\\Plugins", 'Name="Count" ', "integer", "40"),
            ("Software\\Classes\\.sted", "", "string", "Strata.Text"),
            ("Software\\Classes\\Strata.Text\\shell\\open\\command", "", "string", '"[INSTALLDIR]editor.exe" "%1"'),
        )
    )
    components: list[str] = []

    def content(below: pathlib.Path) -> str:
        elements = []
        for path in sorted(below.iterdir()):
            if path.is_dir():
                elements.append(
                    f'<Directory Id="D{next(numbers)}" Name={quoteattr(path.name)}>{content(path)}</Directory>'
                )
                continue
            components.append(name := f"C{next(numbers)}")
            file = f'<File Id="F{name}" Name={quoteattr(path.name)} Source={quoteattr(str(path.relative_to(tree / EDITOR)))} KeyPath="yes"/>'
            elements.append(
                f'<Component Id="{name}" Guid="{_guid(str(path.relative_to(tree)))}" Win64="yes">{file}'
                f"{registry if path.name == 'editor.exe' else ''}</Component>"
            )
        return "".join(elements)

    files = content(tree / EDITOR)
    document = f"""<?xml version="1.0" encoding="utf-8"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
 <Product Id="{_guid("editor" + version)}" Name="Strata Editor" Version="{version}.0" Language="1033" Manufacturer="Strata" UpgradeCode="{_guid("editor")}">
  <Package InstallerVersion="300" Compressed="yes" InstallScope="perMachine" Description="Strata Editor" Manufacturer="Strata"/>
  <Media Id="1" Cabinet="files.cab" EmbedCab="yes"/>
  <Directory Id="TARGETDIR" Name="SourceDir">
   <Directory Id="ProgramFiles64Folder"><Directory Id="INSTALLDIR" Name="{pathlib.PurePath(EDITOR).name}">{files}</Directory></Directory>
  </Directory>
  <Feature Id="Main" Level="1">{"".join(f'<ComponentRef Id="{name}"/>' for name in components)}</Feature>
 </Product>
</Wix>
"""
    source, package = folder / f"editor-{version}.wxs", folder / f"editor-{version}.msi"
    source.write_text(document, encoding="utf-8")
    # wixl resolves source paths relative to its working directory.
    _tool("wixl", "-a", "x64", "-o", str(package), str(source), cwd=tree / EDITOR)
    return package


def house_rules(tree: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Build the NSIS installer of the house rules in ``folder`` and return its path; ``tree`` holds the files as on drive C."""
    files = []
    for path in sorted(path for path in tree.rglob("*") if path.is_file()):
        below = str(path.relative_to(tree).parent).replace("/", "\\")
        files.append(f'SetOutPath "C:\\{below}"\nFile "{path}"')
    lines = "\n".join(files)
    deleted = DELETED.replace("/", "\\")
    script = f"""Unicode true
Name "House rules"
OutFile "house-rules.exe"
RequestExecutionLevel admin
SetCompressor zlib
!include x64.nsh
Section
SetRegView 64
${{DisableX64FSRedirection}}
{lines}
Delete "C:\\{deleted}"
WriteRegStr HKLM "Software\\Microsoft\\Windows\\CurrentVersion\\Policies\\System" "legalnoticecaption" "House rules"
WriteRegStr HKLM "Software\\Microsoft\\Windows\\CurrentVersion\\Policies\\System" "legalnoticetext" "Lock the screen when you go."
WriteRegStr HKCU "Control Panel\\Desktop" "Wallpaper" "C:\\Windows\\Web\\Wallpaper\\House\\background.jpg"
WriteRegStr HKLM "{_UNINSTALL}\\House rules" "DisplayName" "House rules"
WriteRegStr HKLM "{_UNINSTALL}\\House rules" "DisplayVersion" "2.0"
SectionEnd
"""
    source = folder / "house-rules.nsi"
    source.write_text(script, encoding="utf-8-sig")
    _tool("makensis", "-V2", "-NOCD", "-XTarget amd64-unicode", str(source), cwd=folder)
    return folder / "house-rules.exe"
