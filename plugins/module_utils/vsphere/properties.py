# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read properties of managed objects, and wait for them to change, through the PropertyCollector.

Attributes of pyVmomi's managed objects are never used: each access is a call of its own, and an
unset property fails in ways that depend on the server. Here an unset property is absent.

``subject`` arguments are the beginning of error messages, such as "Waiting for X to power off".
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ..common.errors import NotFound, StrataError, TimedOut
from ..common.optional_imports import pyvmomi
from .faults import explained, fault_error
from .session import Session

_Result = TypeVar("_Result")
_PAGE = 500
#: Seconds that vCenter waits for a change before it answers without one.
_WAIT = 20
#: The session may expire several times during a wait of hours, but not without end.
_RENEWALS = 20


def collect(
    session: Session, objects: Iterable[Any], paths: Iterable[str], *, subject: str = "Reading properties"
) -> dict[Any, dict[str, Any]]:
    """Return the properties ``paths`` of every object in one call: object -> {path: value}; an unset property is absent.

    All objects must be of types that have all the properties. An object that no longer exists has no properties.
    """
    objects = list(objects)
    return {item: {} for item in objects} | _collect(session, objects, list(paths), subject, ignore_missing=True)


def read(session: Session, item: Any, *paths: str, subject: str = "Reading properties") -> dict[str, Any]:
    """Return the properties ``paths`` of one object; an unset property is absent.

    Raises:
        NotFound: ``vsphere.gone`` if the object does not exist.
    """
    return _collect(session, [item], list(paths), subject, ignore_missing=False).get(item, {})


def _collect(
    session: Session, objects: list[Any], paths: list[str], subject: str, *, ignore_missing: bool
) -> dict[Any, dict[str, Any]]:
    if not objects:
        return {}
    collector = pyvmomi.vmodl.query.PropertyCollector
    kinds = {type(item) for item in objects}
    spec = collector.FilterSpec(
        propSet=[collector.PropertySpec(type=kind, pathSet=paths, all=False) for kind in kinds],
        objectSet=[collector.ObjectSpec(obj=item, skip=False) for item in objects],
        reportMissingObjectsInResults=ignore_missing,
    )
    return _repeated_after_renewal(
        session, subject, lambda: _retrieve(session, spec, subject, ignore_missing=ignore_missing)
    )


def collect_below(
    session: Session,
    root: Any,
    kind: str,
    paths: Iterable[str],
    *,
    recursive: bool = True,
    subject: str = "Reading the inventory",
) -> dict[Any, dict[str, Any]]:
    """Return the properties of every object of type ``kind`` (such as ``VirtualMachine``) below ``root``."""
    collector = pyvmomi.vmodl.query.PropertyCollector
    managed_type = getattr(pyvmomi.vim, kind)
    path_set = list(paths)

    def retrieve() -> dict[Any, dict[str, Any]]:
        view = session.content.viewManager.CreateContainerView(root, [managed_type], recursive)
        try:
            traversal = collector.TraversalSpec(
                name="view", type=pyvmomi.vim.view.ContainerView, path="view", skip=False
            )
            spec = collector.FilterSpec(
                propSet=[collector.PropertySpec(type=managed_type, pathSet=path_set, all=False)],
                objectSet=[collector.ObjectSpec(obj=view, skip=True, selectSet=[traversal])],
            )
            return _retrieve(session, spec, subject, ignore_missing=True)
        finally:
            with contextlib.suppress(StrataError, pyvmomi.vmodl.MethodFault):
                view.DestroyView()

    return _repeated_after_renewal(session, subject, retrieve)


def wait_for(
    session: Session,
    item: Any,
    paths: Iterable[str],
    predicate: Callable[[dict[str, Any]], object],
    timeout: float,
    *,
    subject: str,
    tick: Callable[[dict[str, Any]], None] | None = None,
    interval: float = _WAIT,
) -> dict[str, Any]:
    """Wait until ``predicate`` is true of the properties ``paths`` of ``item``; return them.

    ``predicate``, and then ``tick``, are called with the properties after every change and at least every ``interval``
    seconds.

    Raises:
        TimedOut: ``vsphere.timed_out`` after ``timeout`` seconds.
        NotFound: ``vsphere.gone`` if the object ceases to exist.
        StrataError: as ``predicate``, ``tick`` and ``fault_error``.
    """
    deadline = time.monotonic() + timeout
    with explained(subject), PropertyWatch(session, item, paths, subject) as watch:
        first = True
        while first or time.monotonic() < deadline:
            first = False
            values = watch.next(min(interval, deadline - time.monotonic()))
            if values is None:
                continue
            if predicate(values):
                return values
            if tick:
                tick(values)
    raise TimedOut(
        f"{subject} did not finish within {timeout:g} s.",
        code="vsphere.timed_out",
        hint="Check the virtual machine and the tasks in vCenter, and run this playbook again. "
        "If it needs more time, increase its value in the option timeouts, if the module has it.",
    )


class PropertyWatch:
    """Watches properties of one object; use as a context manager.

    A property collector in vCenter, with one filter, keeps the version of what was reported last. Both belong to the
    session: when it has expired, ``next`` logs in again and creates them again, and reports all properties.
    """

    def __init__(self, session: Session, item: Any, paths: Iterable[str], subject: str) -> None:
        self._session = session
        self._item = item
        self._paths = list(paths)
        self._subject = subject
        self._limit = session.logins + _RENEWALS
        self._collector: Any = None
        self._version = ""
        self._values: dict[str, Any] = {}

    def __enter__(self) -> PropertyWatch:
        return self

    def __exit__(self, *_details: object) -> None:
        self._close()

    def next(self, timeout: float) -> dict[str, Any] | None:
        """Wait up to ``timeout`` seconds (at least 1) for a change; return all known properties.

        Returns None when the properties are not known yet: after the watch was created again, or while vCenter reports
        them in parts. Raises NotFound (vsphere.gone) when the object no longer exists, and pyVmomi's faults.
        """
        logins = self._session.logins
        try:
            if self._collector is None:
                self._open()
            return self._wait(max(1, int(timeout)))
        except pyvmomi.vmodl.fault.ManagedObjectNotFound as fault:
            # The collector ends with its session. Any other object that does not exist is an error.
            if not isinstance(fault.obj, _collector_types()):
                raise
            self._close()
        except pyvmomi.vim.fault.NotAuthenticated:
            if self._session.logins > self._limit:
                raise
            self._close()
            self._session.renew(logins)
        return None

    def _open(self) -> None:
        query = pyvmomi.vmodl.query.PropertyCollector
        self._version, self._values = "", {}
        self._collector = self._session.content.propertyCollector.CreatePropertyCollector()
        spec = query.FilterSpec(
            propSet=[query.PropertySpec(type=type(self._item), pathSet=self._paths, all=False)],
            objectSet=[query.ObjectSpec(obj=self._item, skip=False)],
        )
        self._collector.CreateFilter(spec, False)

    def _wait(self, seconds: int) -> dict[str, Any] | None:
        options = pyvmomi.vmodl.query.PropertyCollector.WaitOptions(maxWaitSeconds=seconds)
        update = self._collector.WaitForUpdatesEx(self._version, options)
        if update is not None:
            self._version = update.version
            for change in (change for part in update.filterSet for change in part.objectSet):
                self._apply(change)
            if update.truncated:
                return None
        return dict(self._values)

    def _apply(self, change: Any) -> None:
        """Take over the changes of the object."""
        if change.kind == "leave":
            raise NotFound(
                f"{self._subject} failed: the object no longer exists.",
                code="vsphere.gone",
                hint="Another client removed it while the module was running; run this playbook again.",
            )
        for missing in change.missingSet:
            raise missing.fault
        for entry in change.changeSet:
            if entry.op in ("add", "assign") and entry.val is not None:
                self._values[entry.name] = entry.val
            else:
                self._values.pop(entry.name, None)

    def _close(self) -> None:
        collector, self._collector = self._collector, None
        if collector is not None:
            with contextlib.suppress(StrataError, pyvmomi.vmodl.MethodFault):
                collector.DestroyPropertyCollector()


def _collector_types() -> tuple[type, type]:
    query = pyvmomi.vmodl.query.PropertyCollector
    return query, query.Filter


def _repeated_after_renewal(session: Session, subject: str, retrieve: Callable[[], _Result]) -> _Result:
    """Call ``retrieve``; once more when the session has expired: the server reports that instead of properties, or a view ended with it."""
    with explained(subject):
        logins = session.logins
        try:
            return retrieve()
        except pyvmomi.vim.fault.NotAuthenticated:
            session.renew(logins)
        except pyvmomi.vmodl.fault.ManagedObjectNotFound:
            if session.logins == logins:
                raise
        return retrieve()


def _retrieve(session: Session, spec: Any, subject: str, *, ignore_missing: bool) -> dict[Any, dict[str, Any]]:
    query = pyvmomi.vmodl.query.PropertyCollector
    faults = pyvmomi.vmodl.fault
    collector = session.content.propertyCollector
    result = collector.RetrievePropertiesEx([spec], query.RetrieveOptions(maxObjects=_PAGE))
    properties = {}
    while result is not None:
        for content in result.objects:
            problems = [(entry.fault, entry.path) for entry in content.missingSet]
            if ignore_missing and any(isinstance(fault, faults.ManagedObjectNotFound) for fault, _path in problems):
                continue
            for fault, path in problems:
                if isinstance(fault, (pyvmomi.vim.fault.NotAuthenticated, faults.ManagedObjectNotFound)):
                    raise fault
                raise fault_error(fault, f"{subject} ({path})")
            properties[content.obj] = {entry.name: entry.val for entry in content.propSet}
        result = collector.ContinueRetrievePropertiesEx(result.token) if result.token else None
    return properties
