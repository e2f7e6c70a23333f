# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module vsphere_selftest: find out, with a small test VM, whether images can be published at a site."""

from __future__ import annotations

import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..catalog import document_collections
from ..catalog.connector_document import ConnectorDocument
from ..common.atomic_files import atomic_write
from ..common.composer_paths import TEMPORARY_PREFIX, current_user, path_hint
from ..common.errors import InternalError, InvalidInput, NotFound, StrataError
from ..common.outcome import Outcome
from ..common.progress import Progress, silent
from .connector import connector_document
from .options import ConnectionOptions, RepositoryOptions

if TYPE_CHECKING:
    from ..selftest.redaction import Redactor
    from ..selftest.run import SelfTestResult

#: Options of the module connector that do not decide the location of a VM. Options that this module does not have are not set.
_NOT_PLACEMENT: dict[str, Any] = {"type": "vsphere", "description": ""}
#: Name of a connector that is not stored.
_NAME = "self-test"
#: Fields of a connector that are not names.
_PUBLIC_FIELDS = ("type",)
#: Kinds in placeholders, by fields of a connector.
_KINDS = {
    "name": "connector",
    "datacenter": "datacenter",
    "cluster": "cluster",
    "esxi_hostname": "host",
    "resource_pool": "pool",
    "datastore": "datastore",
    "folder": "folder",
    "network": "network",
    "storage_policy": "policy",
    "vm_template": "vm",
    "script": "path",
}
_MAXIMUM_SIZE_MB = 16384
_SUFFIXES = (".md", ".json")


@dataclass(frozen=True, kw_only=True)
class SelfTestOptions:
    """Options of the module vsphere_selftest.

    ``stored`` is the name of a connector in the repository, ``document`` a connector that is not stored; one of them is set. ``report`` is
    the path of the report without its suffix.
    """

    connection: ConnectionOptions
    repository: RepositoryOptions | None
    stored: str | None
    document: ConnectorDocument | None
    report: str
    size_mb: int
    keep_vm_on_failure: bool
    timeout: int

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> SelfTestOptions:
        """Read the parameters of the module.

        Raises:
            InvalidInput: ``operations.selftest_size``, ``operations.selftest_repository``, ``operations.connector_incomplete``.
        """
        if not 1 <= params["size_mb"] <= _MAXIMUM_SIZE_MB:
            raise InvalidInput(
                f"The option size_mb is {params['size_mb']}; expected 1 to {_MAXIMUM_SIZE_MB} MiB.",
                code="operations.selftest_size",
                hint="Set size_mb to a size within these limits.",
            )
        repository = RepositoryOptions.optional(params)
        if params["connector"] and repository is None:
            raise InvalidInput(
                f"The option connector names the connector {params['connector']!r}, but repository is not set.",
                code="operations.selftest_repository",
                hint="Set repository, or set datacenter, cluster, datastore and vm_template instead of connector.",
            )
        values = defaultdict[str, Any](lambda: None, params) | _NOT_PLACEMENT | {"name": _NAME}
        report = params["report"]
        return cls(
            connection=ConnectionOptions.from_params(params),
            repository=repository,
            stored=params["connector"],
            document=None if params["connector"] else connector_document(values),
            report=report[: -len(suffix)] if (suffix := os.path.splitext(report)[1]) in _SUFFIXES else report,
            size_mb=params["size_mb"],
            keep_vm_on_failure=params["keep_vm_on_failure"],
            timeout=params["timeout"],
        )


def test_site(
    options: SelfTestOptions,
    *,
    folder: str,
    ansible_version: str = "",
    check_mode: bool,
    progress: Progress = silent,
) -> Outcome:
    """Run the self-test and write its report. ``folder`` is a folder on the composer for temporary files.

    The outcome is changed only if test VMs of earlier runs were removed: this run leaves nothing in vSphere.

    Raises:
        NotFound: ``catalog.not_found`` for the connector; ``operations.selftest_report`` if the folder of the report does not exist.
        StrataError: ``operations.selftest_failed`` if a step failed, with its name and code in the details.
    """
    connector = options.document or _stored_connector(options)
    _check_report_folder(options.report)
    from ..selftest.run import SelfTestRequest, run_selftest

    with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=folder) as work:
        request = SelfTestRequest(
            connect=options.connection.connect,
            connector=connector,
            redactor=_redactor(options.connection, connector),
            folder=work,
            size=options.size_mb << 20,
            keep_vm_on_failure=options.keep_vm_on_failure,
            timeout=options.timeout,
        )
        result = run_selftest(request, ansible_version=ansible_version, check_mode=check_mode, progress=progress)
    return _outcome(options, result, check_mode)


def _check_report_folder(report: str) -> None:
    """Raise an error if the report cannot be written, before anything is created."""
    folder = os.path.dirname(report) or "."
    if not os.path.isdir(folder):
        raise NotFound(
            f"The folder {folder} of the report does not exist.",
            code="operations.selftest_report",
            hint=f"{path_hint(report, 'report')}Create the folder, or set report to a different path.",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InvalidInput(
            f"The user {current_user()} cannot write the report to the folder {folder}.",
            code="operations.selftest_report",
            hint="Give the user write access to the folder, or set report to a different path.",
        )


def _stored_connector(options: SelfTestOptions) -> ConnectorDocument:
    if options.repository is None or options.stored is None:
        raise InternalError("The self-test has neither a stored connector nor its options.", code="operations.selftest")
    return document_collections.connectors(options.repository.open()).require(options.stored)


def _redactor(connection: ConnectionOptions, connector: ConnectorDocument) -> Redactor:
    """Return a redactor that knows the options."""
    from ..selftest.redaction import Redactor

    redactor = Redactor()
    redactor.secret(connection.password)
    redactor.add("vcenter", connection.hostname)
    redactor.add("user", connection.username, *connection.username.replace("\\", "@").split("@"))
    redactor.add("proxy", connection.proxy_host)
    redactor.add("path", connection.ca_file)
    for field, value in connector.to_dict().items():
        if isinstance(value, str) and field not in _PUBLIC_FIELDS and value != _NAME:
            # An option can be a path; names without their folders occur in messages as well.
            redactor.add(_KINDS.get(field, "option"), value, value.rstrip("/").rpartition("/")[2])
    for part in (connector.folder or "").split("/"):
        redactor.add("folder", part)
    for name, text in connector.custom_attributes.items():
        redactor.add("attribute", name)
        redactor.add("attribute-value", text)
    return redactor


def _outcome(options: SelfTestOptions, result: SelfTestResult, check_mode: bool) -> Outcome:
    """Write the report, unless in check mode, and return the outcome; raise an error if a step failed."""
    from ..preflight.checks import warnings
    from ..selftest.report import report_text

    text, headline, error = report_text(result.report), result.report["headline"], result.error
    files: list[str] = []
    try:
        files = [] if check_mode else _write(options.report, text, result.report)
    except (StrataError, OSError):
        # The error of a step is more important; then the text is part of it.
        if error is None:
            raise
    if error is not None:
        # The text is only returned if there is no file from which it can be read.
        texts = {} if files else {"report_text": text}
        raise StrataError(
            f"{headline} {error.message}",
            code="operations.selftest_failed",
            hint=error.hint,
            step=result.failed_step,
            cause=error.code,
            headline=headline,
            report_files=files,
            left_behind=list(result.left_behind),
            checks=list(result.checks),
            **texts,
        )
    values: dict[str, Any] = {
        "usable": True,
        "headline": headline,
        "report": result.report,
        "report_text": text,
        "report_files": files,
        "checks": list(result.checks),
        "removed": list(result.leftovers),
    }
    sentences = [*warnings(options.stored or _NAME, values["checks"]), *result.warnings]
    return Outcome(bool(result.leftovers), result=values, warnings=sentences)


def _write(path: str, text: str, report: dict[str, Any]) -> list[str]:
    """Write both files of the report; return their paths."""
    document = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    files = [path + suffix for suffix in _SUFFIXES]
    for file, content in zip(files, (text, document)):
        atomic_write(file, content.encode("utf-8", "replace"))
    return files
