# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer file of the role os_machine: it is valid for the schema and contains every setting."""

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
_ALL_SETTINGS = {
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


def render(template: str = "unattend.xml.j2", **settings: object) -> str:
    """Return the answer file for ``settings`` (names without their prefix); other settings have their defaults."""
    defaults = yaml.safe_load((_ROLE / "defaults" / "main.yml").read_text(encoding="utf-8"))
    variables = {
        name: trust_as_template(value) if isinstance(value, str) else value for name, value in defaults.items()
    }
    variables |= {f"os_machine_unattend_{name}": value for name, value in settings.items()}
    templar = Templar(loader=DataLoader(), variables=variables).copy_with_new_env()
    # The modules template and win_template set this option, too.
    options = "#jinja2: trim_blocks: True\n"
    return templar.template(trust_as_template(options + (_ROLE / "templates" / template).read_text(encoding="utf-8")))


class AnswerFile:
    """A parsed answer file: the settings of the components of each pass."""

    def __init__(self, text: str) -> None:
        self._root = ET.fromstring(text.encode())

    def texts(self, location: str) -> list[str]:
        """Return all texts at ``pass/component/setting/...``; the component has no prefix "Microsoft-Windows-"."""
        pass_name, component, *rest = location.split("/")
        path = f"u:settings[@pass='{pass_name}']/u:component[@name='Microsoft-Windows-{component}']/" + "/".join(
            f"u:{name}" for name in rest
        )
        return [element.text or "" for element in self._root.findall(path, _NAMES)]

    def password(self, location: str, setting: str) -> str | None:
        """Return the text of an obscured password, None if it does not exist."""
        values = self.texts(f"{location}/Value")
        if not values:
            return None
        assert self.texts(f"{location}/PlainText") == ["false"]
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
        _ALL_SETTINGS,
        {"activation": "retail", "product_key": "ABCDE-12345-FGHIJ-67890-KLMNO"},
        {"kms_server": "kms", "administrator_password": "x"},
        {"domain": "d", "join_username": "joiner@example.org", "join_password": "p"},
        {"alternate_administrator": "a", "alternate_administrator_password": "b"},
    ],
    ids=["nothing", "all", "retail", "kms", "domain", "alternate"],
)
def test_answer_file_is_valid_for_the_schema(schema, settings):
    schema.validate(render(**settings))


def test_setup_answer_file_bypasses_the_checks_before_the_installation(schema):
    text = render("autounattend.xml.j2")
    schema.validate(text)
    commands = AnswerFile(text).texts("windowsPE/Setup/RunSynchronous/RunSynchronousCommand/Path")
    values = [command.split(" /v ")[1].split()[0] for command in commands]
    assert values == [f"Bypass{check}Check" for check in ("TPM", "SecureBoot", "CPU", "RAM", "Storage")]
    assert all(r"add HKLM\SYSTEM\Setup\LabConfig /v" in command for command in commands)
    assert "pass=" in text and "Password" not in text


@pytest.mark.parametrize(
    ("before", "after"),
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
def test_schema_refuses_wrong_answer_file(schema, before, after):
    text = render(**_ALL_SETTINGS)
    assert before in text
    assert not schema.is_valid(
        text.replace(before, after).replace("</TimeZone>", "</Timezone>" if after == "<Timezone>" else "</TimeZone>")
    )


def test_answer_file_contains_every_setting():
    answers = AnswerFile(render(**_ALL_SETTINGS))
    for location, value in {
        "specialize/Shell-Setup/ComputerName": "GOLD-W11",
        "specialize/Shell-Setup/ProductKey": _ALL_SETTINGS["product_key"],
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
        assert answers.texts(location) == [value], location
    accounts = "oobeSystem/Shell-Setup/UserAccounts"
    assert answers.password(f"{accounts}/AdministratorPassword", "AdministratorPassword") == "pw"
    assert answers.password(f"{accounts}/LocalAccounts/LocalAccount/Password", "Password") == "g\u00e4n<s&"
    commands = answers.texts("specialize/Deployment/RunSynchronous/RunSynchronousCommand/Path")
    assert commands[0].endswith("slmgr.vbs /skms kms.example.org:1689")
    assert "-500' } | Disable-LocalUser" in commands[1]


def test_obscured_password_matches_the_documentation():
    # The example of "Value (Microsoft-Windows-Shell-Setup-UserAccounts-AdministratorPassword-Value)", whose password is "pw".
    assert "cAB3AEEAZABtAGkAbgBpAHMAdAByAGEAdABvAHIAUABhAHMAcwB3AG8AcgBkAA==" in render(administrator_password="pw")


def test_answer_file_without_settings_has_only_defaults():
    text = render()
    answers = AnswerFile(text)
    for name in ("ProductKey", "RegisteredOwner", "UnattendedJoin", "UserAccounts", "slmgr", "MachineObjectOU"):
        assert name not in text
    assert answers.texts("specialize/Shell-Setup/ComputerName") == ["*"]
    assert answers.texts("specialize/Security-SPP-UX/SkipAutoActivation") == ["false"]
    assert "Enable-LocalUser" in answers.texts("specialize/Deployment/RunSynchronous/RunSynchronousCommand/Path")[0]
    assert answers.texts("oobeSystem/International-Core/InputLocale") == ["en-US"]


def test_retail_key_sets_no_kms_server():
    text = render(activation="retail", kms_server="kms", product_key="ABCDE-12345-FGHIJ-67890-KLMNO")
    assert "slmgr" not in text
    assert AnswerFile(text).texts("specialize/Shell-Setup/ProductKey") == ["ABCDE-12345-FGHIJ-67890-KLMNO"]


def test_argument_specs_and_defaults_have_the_same_settings():
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
