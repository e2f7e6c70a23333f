# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module vsphere_selftest: find out, with a small test VM, whether images can be published at a site."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..catalog import document_collections
from ..catalog.connector_document import ConnectorDocument
from ..common.atomic_files import atomic_write
from ..common.composer_paths import TEMPORARY_PREFIX, path_hint
from ..common.errors import InvalidInput, NotFound, StrataError
from ..common.outcome import Outcome
from ..common.progress import Progress, silent
from .connector import connector_document
from .options import ConnectionOptions, RepositoryOptions

if TYPE_CHECKING:
    from ..selftest.redaction import Redactor
    from ..selftest.run import SelfTestResult

#: The options of the module that describe a connector.
PLACEMENT = ("datacenter", "cluster", "esxi_host", "resource_pool", "datastore", "folder", "network", "vm_template")
#: Values of the options of the module connector that do not decide the location of a VM.
_OTHER: dict[str, Any] = {"type": "vsphere", "description": "", "script": None, "custom_attributes": {}}
#: Name of a connector that is not stored.
_NAME = "self-test"
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
        values = _OTHER | {name: params[name] for name in PLACEMENT} | {"name": _NAME}
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
    if not os.path.isdir(os.path.dirname(options.report) or "."):
        raise NotFound(
            f"The folder {os.path.dirname(options.report)} of the report does not exist.",
            code="operations.selftest_report",
            hint=f"{path_hint(options.report, 'report')}Create the folder, or set report to a different path.",
        )
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


def _stored_connector(options: SelfTestOptions) -> ConnectorDocument:
    assert options.repository is not None and options.stored is not None
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
    for kind, name in (
        ("datacenter", connector.datacenter),
        ("cluster", connector.cluster),
        ("host", connector.esxi_host),
        ("pool", connector.resource_pool),
        ("datastore", connector.datastore),
        ("network", connector.network),
        ("vm", connector.vm_template),
    ):
        redactor.add(kind, name, *(name or "").strip("/").split("/")[-1:])
    for part in (connector.folder or "").split("/"):
        redactor.add("folder", part)
    if connector.name != _NAME:
        redactor.add("connector", connector.name)
    return redactor


def _outcome(options: SelfTestOptions, result: SelfTestResult, check_mode: bool) -> Outcome:
    """Write the report, unless in check mode, and return the outcome; raise an error if a step failed."""
    from ..selftest.report import report_text

    text = report_text(result.report)
    files = [] if check_mode else [options.report + suffix for suffix in _SUFFIXES]
    if files:
        atomic_write(files[0], text.encode("utf-8"))
        atomic_write(files[1], (json.dumps(result.report, indent=2, ensure_ascii=False) + "\n").encode("utf-8"))
    headline = result.report["headline"]
    error = result.error
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
    values = {
        "usable": True,
        "headline": headline,
        "report": result.report,
        "report_text": text,
        "report_files": files,
        "checks": list(result.checks),
        "removed": list(result.leftovers),
    }
    return Outcome(bool(result.leftovers), result=values, warnings=list(result.warnings))
