# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading properties, and waiting for them to change, through the PropertyCollector.

Attributes of pyVmomi's managed objects are never used: each is a call of its own, and an
unset one fails in ways that depend on the server. Here an unset property is absent.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..common.errors import NotFound, StrataError, TimedOut
from ..common.optional_imports import pyvmomi
from .faults import explained, fault_error
from .session import Session

_PAGE = 500
_WAIT = 20
#: A wait of hours may see its session expire more than once, but not endlessly.
_RENEWALS = 20


def collect(
    session: Session, objects: Iterable, paths: Iterable[str], *, what: str = "Reading properties"
) -> dict[Any, dict[str, Any]]:
    """The properties ``paths`` of every object in one call: object -> {path: value}; unset ones are absent.

    All objects must be of types that have all the properties. One that is gone has none.
    """
    objects = list(objects)
    return {item: {} for item in objects} | _collect(session, objects, list(paths), what, missing=True)


def read(session: Session, item, *paths: str, what: str = "Reading properties") -> dict[str, Any]:
    """The properties ``paths`` of one object; unset ones are absent. NotFound when it is gone."""
    return _collect(session, [item], list(paths), what, missing=False).get(item, {})


def _collect(
    session: Session, objects: list, paths: list[str], what: str, *, missing: bool
) -> dict[Any, dict[str, Any]]:
    """``missing``: whether an object that is gone is left out; else it is NotFound."""
    if not objects:
        return {}
    collector = pyvmomi.vmodl.query.PropertyCollector
    kinds = {type(item) for item in objects}
    spec = collector.FilterSpec(
        propSet=[collector.PropertySpec(type=kind, pathSet=paths, all=False) for kind in kinds],
        objectSet=[collector.ObjectSpec(obj=item, skip=False) for item in objects],
        reportMissingObjectsInResults=missing,
    )
    return _again(session, what, lambda: _retrieve(session, spec, what, missing=missing))


def collect_below(
    session: Session,
    root,
    kind: str,
    paths: Iterable[str],
    *,
    recursive: bool = True,
    what: str = "Reading the inventory",
) -> dict[Any, dict]:
    """The properties of every object of type ``kind`` (such as ``VirtualMachine``) below ``root``."""
    collector = pyvmomi.vmodl.query.PropertyCollector
    wanted = getattr(pyvmomi.vim, kind)

    def look() -> dict[Any, dict]:
        view = session.content.viewManager.CreateContainerView(root, [wanted], recursive)
        try:
            spec = collector.FilterSpec(
                propSet=[collector.PropertySpec(type=wanted, pathSet=list(paths), all=False)],
                objectSet=[
                    collector.ObjectSpec(
                        obj=view,
                        skip=True,
                        selectSet=[
                            collector.TraversalSpec(
                                name="view", type=pyvmomi.vim.view.ContainerView, path="view", skip=False
                            )
                        ],
                    )
                ],
            )
            return _retrieve(session, spec, what, missing=True)
        finally:
            with contextlib.suppress(StrataError, pyvmomi.vmodl.MethodFault):
                view.DestroyView()

    return _again(session, what, look)


def wait_for(
    session: Session,
    item,
    paths: Iterable[str],
    predicate: Callable[[dict[str, Any]], object],
    timeout: float,
    *,
    what: str,
    tick: Callable[[dict[str, Any]], None] | None = None,
    interval: float = _WAIT,
) -> dict[str, Any]:
    """Wait until ``predicate`` is true of the properties ``paths`` of ``item``; returns them.

    ``what`` starts the sentence of an error, such as "Waiting for X to power off". ``tick`` is
    called with the properties after every change and at least every ``interval`` seconds. Raises TimedOut
    after ``timeout`` seconds, NotFound when the object goes away, and what ``predicate`` and ``tick`` raise.
    """
    deadline = time.monotonic() + timeout
    limit = session.logins + _RENEWALS
    values: dict[str, Any] = {}
    with explained(what):
        while True:
            logins = session.logins
            try:
                # Closed here, because an error keeps the generator alive, perhaps for longer than the session.
                with contextlib.closing(_updates(session, item, list(paths), deadline, interval, what)) as updates:
                    for values in updates:
                        if predicate(values):
                            return values
                        if tick:
                            tick(values)
            except pyvmomi.vmodl.fault.ManagedObjectNotFound as fault:
                # A collector dies with its session: make another. Anything else that is gone, is gone.
                if not isinstance(
                    fault.obj, (pyvmomi.vmodl.query.PropertyCollector, pyvmomi.vmodl.query.PropertyCollector.Filter)
                ):
                    raise
                if time.monotonic() < deadline:
                    continue
            except pyvmomi.vim.fault.NotAuthenticated:
                if session.logins > limit:
                    raise
                session.renew(logins)
                continue
            raise TimedOut(
                f"{what} took longer than {timeout:g} seconds.",
                code="vsphere.timed_out",
                hint="Look at the virtual machine and the tasks in vCenter; allow more time when it is only slow.",
            )


def _updates(
    session: Session, item, paths: list[str], deadline: float, interval: float, what: str
) -> Iterator[dict[str, Any]]:
    """The properties at the start and after every round of waiting, until the deadline."""
    query = pyvmomi.vmodl.query.PropertyCollector
    collector = session.content.propertyCollector.CreatePropertyCollector()
    try:
        spec = query.FilterSpec(
            propSet=[query.PropertySpec(type=type(item), pathSet=paths, all=False)],
            objectSet=[query.ObjectSpec(obj=item, skip=False)],
        )
        collector.CreateFilter(spec, False)
        values: dict[str, Any] = {}
        version = ""
        first = True
        while True:
            left = deadline - time.monotonic()
            if left <= 0 and not first:
                return
            first = False
            update = collector.WaitForUpdatesEx(
                version, query.WaitOptions(maxWaitSeconds=max(1, int(min(interval, left))))
            )
            if update is not None:
                version = update.version
                for change in (change for part in update.filterSet for change in part.objectSet):
                    if change.kind == "leave":
                        raise NotFound(
                            f"{what} failed: the object is gone.",
                            code="vsphere.gone",
                            hint="Something else removed it meanwhile; run again.",
                        )
                    for missing in change.missingSet:
                        raise missing.fault
                    for property_change in change.changeSet:
                        if property_change.op in ("add", "assign") and property_change.val is not None:
                            values[property_change.name] = property_change.val
                        else:
                            values.pop(property_change.name, None)
                if update.truncated:
                    continue
            yield dict(values)
    finally:
        with contextlib.suppress(StrataError, pyvmomi.vmodl.MethodFault):
            collector.DestroyPropertyCollector()


def _again(session: Session, what: str, look: Callable[[], dict]) -> dict:
    """Call ``look``; once more when the session ended meanwhile: the server says so in place of properties, or a view went with it."""
    with explained(what):
        logins = session.logins
        try:
            return look()
        except pyvmomi.vim.fault.NotAuthenticated:
            session.renew(logins)
        except pyvmomi.vmodl.fault.ManagedObjectNotFound:
            if session.logins == logins:
                raise
        return look()


def _retrieve(session: Session, spec, what: str, *, missing: bool) -> dict[Any, dict[str, Any]]:
    query = pyvmomi.vmodl.query.PropertyCollector
    collector = session.content.propertyCollector
    result = collector.RetrievePropertiesEx([spec], query.RetrieveOptions(maxObjects=_PAGE))
    found = {}
    while result is not None:
        for content in result.objects:
            if missing and any(
                isinstance(lacking.fault, pyvmomi.vmodl.fault.ManagedObjectNotFound) for lacking in content.missingSet
            ):
                continue
            for lacking in content.missingSet:
                if isinstance(
                    lacking.fault, (pyvmomi.vim.fault.NotAuthenticated, pyvmomi.vmodl.fault.ManagedObjectNotFound)
                ):
                    raise lacking.fault
                raise fault_error(lacking.fault, f"{what} ({lacking.path})")
            found[content.obj] = {entry.name: entry.val for entry in content.propSet}
        result = collector.ContinueRetrievePropertiesEx(result.token) if result.token else None
    return found
