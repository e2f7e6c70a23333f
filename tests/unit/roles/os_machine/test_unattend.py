# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer file of the role os_machine: valid by schema, and read back setting by setting."""

from __future__ import annotations

import base64
import pathlib
import xml.etree.ElementTree as ET

import pytest
import xmlschema
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

_HERE = pathlib.Path(__file__).resolve().parent
_ROLE = _HERE.parents[3] / "roles" / "os_machine"
_NAMES = {"u": "urn:schemas-microsoft-com:unattend", "wcm": "http://schemas.microsoft.com/WMIConfig/2002/State"}
_ALL = {
    "activation": "kms_mak",
    "kms_server": "kms.example.org",
    "kms_port": 1689,
    "product_key": "ABCDE-12345-FGHIJ-67890-KLMNO",
    "automatic_activation": False,
    "computer_name": "GOLD-W11",
    "owner": "R&D <IT>",
    "organization": 'Example "GmbH"',
    "time_zone": "W. Europe Standard Time",
    "locale": "de-DE",
    "input_locale": "0407:00000407",
    "ui_language": "de-DE",
    "administrator_enabled": False,
    "administrator_password": "pw",
    "alternate_administrator": "builder",
    "alternate_administrator_password": "g\u00e4n<s&",
    "administrators_group": "Administratoren",
    "domain": "example.org",
    "domain_ou": "OU=Gold,DC=example,DC=org",
    "join_domain": "example.org",
    "join_username": "joiner",
    "join_password": "a<b&c",
}


def render(**settings: object) -> str:
    """The answer file for settings without their prefix, the others at their defaults."""
    defaults = yaml.safe_load((_ROLE / "defaults" / "main.yml").read_text(encoding="utf-8"))
    variables = {
        name: trust_as_template(value) if isinstance(value, str) else value for name, value in defaults.items()
    }
    variables |= {f"os_machine_unattend_{name}": value for name, value in settings.items()}
    templar = Templar(loader=DataLoader(), variables=variables).copy_with_new_env()
    # As the modules template and win_template do.
    options = "#jinja2: trim_blocks: True\n"
    return templar.template(
        trust_as_template(options + (_ROLE / "templates" / "unattend.xml.j2").read_text(encoding="utf-8"))
    )


class Answers:
    """An answer file, read as Windows Setup reads it: the components of a pass and their settings."""

    def __init__(self, text: str) -> None:
        self._root = ET.fromstring(text.encode())

    def __call__(self, place: str) -> list[str]:
        """Every text at ``pass/component/setting/...``; the component without "Microsoft-Windows-"."""
        wanted, component, *rest = place.split("/")
        path = f"u:settings[@pass='{wanted}']/u:component[@name='Microsoft-Windows-{component}']/" + "/".join(
            f"u:{name}" for name in rest
        )
        return [element.text or "" for element in self._root.findall(path, _NAMES)]

    def password(self, place: str, setting: str) -> str | None:
        """What a hidden password says, None without one."""
        values = self(f"{place}/Value")
        if not values:
            return None
        assert self(f"{place}/PlainText") == ["false"]
        text = base64.b64decode(values[0], validate=True).decode("utf-16-le")
        assert text.endswith(setting)
        return text.removesuffix(setting)


@pytest.fixture(scope="module")
def schema() -> xmlschema.XMLSchema11:
    return xmlschema.XMLSchema11(str(_HERE / "unattend.xsd"))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        _ALL,
        {"activation": "retail", "product_key": "ABCDE-12345-FGHIJ-67890-KLMNO"},
        {"kms_server": "kms", "administrator_password": "x"},
        {"domain": "d", "join_username": "joiner@example.org", "join_password": "p"},
        {"alternate_administrator": "a", "alternate_administrator_password": "b"},
    ],
    ids=["nothing", "all", "retail", "kms", "domain", "alternate"],
)
def test_an_answer_file_is_valid(schema, settings):
    schema.validate(render(**settings))


@pytest.mark.parametrize(
    "before, after",
    [
        ('pass="specialize"', 'pass="windowsPE"'),
        ("Microsoft-Windows-UnattendedJoin", "Microsoft-Windows-Joined"),
        ("amd64", "x86"),
        ("<PlainText>false", "<PlainText>true"),
        ("<SkipAutoActivation>true", "<SkipAutoActivation>yes"),
        ("GOLD-W11", "A name with spaces"),
        ("ABCDE-12345", "ABCDE12345"),
        ("<JoinDomain>example.org</JoinDomain>", "<JoinDomain></JoinDomain>"),
        (' wcm:action="add"', ""),
        ("<Order>2</Order>", "<Order>1</Order>"),
        ("Microsoft-Windows-International-Core", "Microsoft-Windows-UnattendedJoin"),
        ("<TimeZone>", "<Timezone>"),
    ],
)
def test_the_schema_refuses(schema, before, after):
    text = render(**_ALL)
    assert before in text
    assert not schema.is_valid(
        text.replace(before, after).replace("</TimeZone>", "</Timezone>" if after == "<Timezone>" else "</TimeZone>")
    )


def test_every_setting_arrives():
    answers = Answers(render(**_ALL))
    for place, value in {
        "specialize/Shell-Setup/ComputerName": "GOLD-W11",
        "specialize/Shell-Setup/ProductKey": _ALL["product_key"],
        "specialize/Shell-Setup/RegisteredOwner": "R&D <IT>",
        "specialize/Shell-Setup/RegisteredOrganization": 'Example "GmbH"',
        "specialize/Shell-Setup/TimeZone": "W. Europe Standard Time",
        "specialize/Security-SPP-UX/SkipAutoActivation": "true",
        "specialize/UnattendedJoin/Identification/JoinDomain": "example.org",
        "specialize/UnattendedJoin/Identification/MachineObjectOU": "OU=Gold,DC=example,DC=org",
        "specialize/UnattendedJoin/Identification/Credentials/Domain": "example.org",
        "specialize/UnattendedJoin/Identification/Credentials/Username": "joiner",
        "specialize/UnattendedJoin/Identification/Credentials/Password": "a<b&c",
        "generalize/Security-SPP/SkipRearm": "1",
        "oobeSystem/International-Core/InputLocale": "0407:00000407",
        "oobeSystem/International-Core/SystemLocale": "de-DE",
        "oobeSystem/International-Core/UserLocale": "de-DE",
        "oobeSystem/International-Core/UILanguage": "de-DE",
        "oobeSystem/Shell-Setup/UserAccounts/LocalAccounts/LocalAccount/Name": "builder",
        "oobeSystem/Shell-Setup/UserAccounts/LocalAccounts/LocalAccount/Group": "Administratoren",
    }.items():
        assert answers(place) == [value], place
    accounts = "oobeSystem/Shell-Setup/UserAccounts"
    assert answers.password(f"{accounts}/AdministratorPassword", "AdministratorPassword") == "pw"
    assert answers.password(f"{accounts}/LocalAccounts/LocalAccount/Password", "Password") == "g\u00e4n<s&"
    commands = answers("specialize/Deployment/RunSynchronous/RunSynchronousCommand/Path")
    assert commands[0].endswith("slmgr.vbs /skms kms.example.org:1689") and "-500' } | Disable-LocalUser" in commands[1]


def test_a_hidden_password_is_what_microsoft_documents():
    # The example of "Value (Microsoft-Windows-Shell-Setup-UserAccounts-AdministratorPassword-Value)", whose password is "pw".
    assert "cAB3AEEAZABtAGkAbgBpAHMAdAByAGEAdABvAHIAUABhAHMAcwB3AG8AcgBkAA==" in render(administrator_password="pw")


def test_what_is_not_asked_for_is_not_there():
    text = render()
    answers = Answers(text)
    for name in ("ProductKey", "RegisteredOwner", "UnattendedJoin", "UserAccounts", "slmgr", "MachineObjectOU"):
        assert name not in text
    assert answers("specialize/Shell-Setup/ComputerName") == ["*"] and answers(
        "specialize/Security-SPP-UX/SkipAutoActivation"
    ) == ["false"]
    assert "Enable-LocalUser" in answers("specialize/Deployment/RunSynchronous/RunSynchronousCommand/Path")[0]
    assert answers("oobeSystem/International-Core/InputLocale") == ["en-US"]


def test_a_retail_key_names_no_kms_server():
    text = render(activation="retail", kms_server="kms", product_key="ABCDE-12345-FGHIJ-67890-KLMNO")
    assert "slmgr" not in text and Answers(text)("specialize/Shell-Setup/ProductKey") == [
        "ABCDE-12345-FGHIJ-67890-KLMNO"
    ]


def test_specification_and_defaults_name_the_same_settings():
    specified = yaml.safe_load((_ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"][
        "main"
    ]["options"]
    defaults = yaml.safe_load((_ROLE / "defaults" / "main.yml").read_text(encoding="utf-8"))
    prefix = "os_machine_unattend_"
    assert {name for name in specified if name.startswith(prefix)} == {
        name for name in defaults if name.startswith(prefix)
    }
    used = (_ROLE / "templates" / "unattend.xml.j2").read_text(encoding="utf-8")
    assert all(name in used for name in defaults if name.startswith(prefix))
