# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NFC leases: the permission to transfer a virtual machine's disks, kept alive during the transfer.

Source: vSphere Web Services API, HttpNfcLease. A lease without progress reports expires, and vCenter then removes the
new virtual machine of an import. Therefore a thread reports progress from the moment the lease is ready until it is
completed or aborted.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from ...common.errors import Corrupt, NotFound, StrataError, Unavailable
from ...common.optional_imports import pyvmomi
from ...common.progress import Progress, silent
from ..busy import fault_of, is_busy
from ..faults import explained, fault_error
from ..properties import read, wait_for
from ..session import Attempts, Session
from .manifest import Confirmation, ManifestEntry, confirm_upload, verify_download
from .transfer import HostConnection, Transfer

#: Seconds.
_INITIALIZING_TIMEOUT = 60


@dataclass(frozen=True, slots=True)
class Device:
    """A file of the lease. ``key`` is its name in manifests and descriptors, ``import_key`` its name in the import specification."""

    key: str
    import_key: str
    url: str
    thumbprint: str
    certificate: str
    disk: bool
    target: str
    size: int


class Lease:
    """A lease from ImportVApp, ExportVm or ExportSnapshot; a context manager that aborts it unless it was completed.

    ``subject`` is the beginning of error messages, such as "Importing X". ``wait_ready`` sets ``devices``, ``entity`` (the VM),
    ``capacity`` (bytes of all disks) and ``timeout`` (seconds without progress after which the lease expires). ``total`` is the
    number of bytes that percentages refer to, if known. ``stall_timeout`` (None: the session's patience) limits the seconds
    without a transferred byte. ``unresolved``: vCenter did not report whether the lease was completed.
    """

    def __init__(self, session: Session, lease: Any, subject: str, *, stall_timeout: float | None = None) -> None:
        self.session = session
        self.subject = subject
        self.devices: tuple[Device, ...] = ()
        self.entity: Any = None
        self.total: int | None = None
        self.capacity = 0
        self.timeout = 300
        self.unresolved = False
        self._lease = lease
        self._stall_timeout = session.patience.stall if stall_timeout is None else stall_timeout
        self._moved = 0
        self._before = 0
        self._failure: StrataError | None = None
        self._open = True
        self._stop = threading.Event()
        self._keeper: threading.Thread | None = None

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, _kind: object, error: object, _traceback: object) -> None:
        if self._open:
            self.abort(str(error) if isinstance(error, StrataError) else "The transfer was aborted.")

    def wait_ready(self, timeout: float = 600) -> None:
        """Wait until the transfer can begin. Raises the error of a lease that failed, and TimedOut after ``timeout`` seconds."""
        with self._explained():
            values = wait_for(
                self.session,
                self._lease,
                ["state", "error"],
                lambda values: values.get("state") != "initializing" and values.get("state") is not None,
                timeout,
                subject=self.subject,
            )
            self._check(values)
            info = read(self.session, self._lease, "info", subject=self.subject).get("info")
        if info is None:
            raise Unavailable(
                f"{self.subject} failed: the lease has no information about its files.",
                code="vsphere.lease",
                hint="Run this playbook again.",
            )
        self.entity = info.entity
        self.capacity = (info.totalDiskCapacityInKB or 0) * 1024
        self.timeout = info.leaseTimeout or 300
        self.devices = tuple(
            Device(
                device.key,
                device.importKey or "",
                device.url,
                device.sslThumbprint or "",
                getattr(device, "sslCertificate", None) or "",
                bool(device.disk),
                device.targetId or "",
                device.fileSize or 0,
            )
            for device in info.deviceUrl or []
        )
        # Several reports must fit into the time after which the lease expires.
        interval = min(self.session.patience.keep_alive, max(0.5, self.timeout / 4))
        self._keeper = threading.Thread(target=self._keep_alive, args=(interval,), name="nfc-keepalive", daemon=True)
        self._keeper.start()

    def upload(
        self, device: Device, blocks: Iterable[bytes | memoryview], length: int, *, progress: Progress = silent
    ) -> Transfer:
        """Send a stream-optimized VMDK of ``length`` bytes as ``device``; return size and digests.

        Raises the error of the lease if it fails during the transfer, otherwise the errors of ``HostConnection.send``.
        """
        if self.total is None:
            self.total = length
        with self._moving(), self._connect(device) as connection:
            return connection.send(blocks, length, self._counter("upload", length, progress))

    def download(
        self, device: Device, out: BinaryIO, *, expected: int | None = None, progress: Progress = silent
    ) -> Transfer:
        """Receive ``device`` into ``out``. Raises Corrupt (vsphere.length) when the size is not ``expected`` bytes."""
        with self._moving(), self._connect(device) as connection:
            transfer = connection.receive(out, self._counter("download", expected, progress))
        progress("download", transfer.size, transfer.size)
        if expected is not None and transfer.size != expected:
            raise Corrupt(
                f"{self.subject} failed: {transfer.size} bytes of the disk were received, not {expected}.",
                code="vsphere.length",
                hint="Run this playbook again.",
            )
        return transfer

    def manifest(self) -> dict[str, ManifestEntry]:
        """Return the files that the server has transferred so far, by device key; empty when the server does not support this."""
        try:
            with self._explained():
                entries = self._lease.HttpNfcLeaseGetManifest()
        except (pyvmomi.vmodl.fault.MethodNotFound, pyvmomi.vmodl.fault.NotSupported):
            return {}
        except StrataError as error:
            if error.details.get("fault") in ("MethodNotFound", "NotSupported", "NotImplemented"):
                return {}
            raise
        return {entry.key: ManifestEntry.of(entry) for entry in entries or []}

    def verify(self, device: Device, transfer: Transfer, manifest: dict[str, ManifestEntry] | None = None) -> bool:
        """Compare a download with the server's manifest; return whether the manifest has size and digest of the file.

        Raises Corrupt (vsphere.checksum) when size or digest differ.
        """
        entry = (self.manifest() if manifest is None else manifest).get(device.key)
        return entry is not None and verify_download(self.subject, device.target or device.key, entry, transfer)

    def confirm(self, device: Device, transfer: Transfer) -> Confirmation:
        """Compare an upload with the server's manifest; without a manifest, the upload is not confirmed.

        Raises Corrupt (vsphere.checksum) when a digest differs.
        """
        try:
            entry = self.manifest().get(device.key)
        except StrataError:
            # A lease that was lost cannot be completed either, which reports the error.
            entry = None
        return confirm_upload(self.subject, device.target or device.key, entry, transfer)

    def complete(self) -> None:
        """Complete the lease. If vCenter's answer is lost, the state of the lease decides; while it is busy, the call is repeated."""
        self._check_failure()
        self._end()
        attempts = Attempts(self.session.patience.calls)
        busy_until = time.monotonic() + self.session.patience.busy
        while self._open:
            try:
                with self._explained():
                    self._lease.HttpNfcLeaseComplete()
            except StrataError as error:
                state = self._state_after(error)
                busy = is_busy(error) and time.monotonic() < busy_until
                if state == "ready" and (attempts.again() if busy else attempts.again(fault_of(error))):
                    continue
                if state not in ("done", None) or error.code == "vsphere.lease_lost":
                    raise
                if state is None and not self._entity_exists():
                    raise self._lost() from error
            self._open = False

    def _state_after(self, error: StrataError) -> str | None:
        """Return the state of the lease after a failed call; raise ``error`` if the state cannot be read."""
        try:
            return self._state()
        except StrataError:
            self.unresolved = True
            raise error from None

    def abort(self, reason: str) -> None:
        """Abort the lease; failures are ignored, because the lease then expires."""
        self._end()
        self._open = False
        with contextlib.suppress(StrataError, pyvmomi.vmodl.MethodFault):
            attempts = Attempts(self.session.patience.calls)
            while not self._aborted(reason) and attempts.again():
                pass

    def _aborted(self, reason: str) -> bool:
        """Try to abort the lease; return whether it has ended."""
        fault = pyvmomi.vmodl.fault.SystemError(reason=reason, msg=reason)
        try:
            self._lease.HttpNfcLeaseAbort(fault)
        except pyvmomi.vim.fault.InvalidState:
            # The lease has ended, or it is not ready yet and cannot be aborted before.
            values = wait_for(
                self.session,
                self._lease,
                ["state"],
                lambda values: values.get("state") != "initializing",
                _INITIALIZING_TIMEOUT,
                subject=self.subject,
            )
            if values.get("state") == "ready":
                self._lease.HttpNfcLeaseAbort(fault)
        except pyvmomi.vmodl.MethodFault as problem:
            if isinstance(problem, pyvmomi.vmodl.fault.ManagedObjectNotFound):
                return True
            return self._state() not in ("initializing", "ready")
        except StrataError:
            return self._state() not in ("initializing", "ready")
        return True

    def _connect(self, device: Device) -> HostConnection:
        return HostConnection(
            self.session,
            device.url,
            thumbprint=device.thumbprint,
            certificate=device.certificate,
            timeout=self._stall_timeout,
        )

    @contextlib.contextmanager
    def _moving(self) -> Iterator[None]:
        """Around a transfer: if it fails because the lease failed, raise the error of the lease."""
        try:
            yield
        except Unavailable as error:
            try:
                self._check(read(self.session, self._lease, "state", "error", subject=self.subject), error)
            except NotFound:
                raise self._lost() from error
            raise
        self._before = self._moved

    def _counter(self, step: str, total: int | None, progress: Progress) -> Callable[[int], None]:
        """Return the callback that counts transferred bytes, reports progress, and raises the error of a lost lease."""
        progress(step, 0, total)
        last = 0.0

        def count(done: int) -> None:
            nonlocal last
            self._moved = self._before + done
            self._check_failure()
            now = time.monotonic()
            if now - last >= 0.5 or done == total:
                last = now
                progress(step, done, total)

        return count

    def _keep_alive(self, interval: float) -> None:
        """Report progress until the transfer has ended or the lease is lost; this is the body of the thread."""
        last_success = time.monotonic()
        while not self._stop.wait(interval):
            failure, lost = self._report()
            if failure is None:
                last_success = time.monotonic()
            elif lost or time.monotonic() - last_success > self.timeout:
                # A report that fails does not matter if a later report succeeds before the lease expires.
                self._failure = failure
                return

    def _report(self) -> tuple[StrataError | None, bool]:
        """Report progress once; return the error if that failed, and whether the lease is lost."""
        total = self.total or self.capacity
        try:
            self._lease.HttpNfcLeaseProgress(min(99, self._moved * 100 // total) if total else 0)
        except pyvmomi.vmodl.MethodFault as fault:
            ends = (
                pyvmomi.vim.fault.InvalidState,
                pyvmomi.vim.fault.Timedout,
                pyvmomi.vmodl.fault.ManagedObjectNotFound,
            )
            gone = isinstance(fault, pyvmomi.vmodl.fault.ManagedObjectNotFound)
            return self._lost() if gone else fault_error(fault, self.subject), isinstance(fault, ends)
        except StrataError as error:
            return error, False
        return None, False

    def _lost(self) -> StrataError:
        """Return the error for a lease that vCenter no longer knows."""
        return Unavailable(
            f"{self.subject} failed: vCenter has lost the lease, for example because it was restarted or the session ended.",
            code="vsphere.lease_lost",
            hint="Run this playbook again.",
        )

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Do the same as ``explained``, for calls on the lease itself."""
        try:
            with explained(self.subject):
                yield
        except NotFound as error:
            raise self._lost() from error

    def _check_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _check(self, values: dict[str, Any], cause: StrataError | None = None) -> None:
        if values.get("state") == "error":
            fault = values.get("error")
            if fault is not None:
                raise fault_error(fault, self.subject) from cause
            raise Unavailable(
                f"{self.subject} failed: the lease ended with an error.",
                code="vsphere.lease",
                hint="Check the tasks in vCenter, and run this playbook again.",
            ) from cause
        if cause is None and values.get("state") != "ready":
            raise Unavailable(
                f"{self.subject} failed: the lease has already ended.",
                code="vsphere.lease",
                hint="Run this playbook again.",
            )

    def _state(self) -> str | None:
        try:
            return read(self.session, self._lease, "state", subject=self.subject).get("state")
        except NotFound:
            return None

    def _entity_exists(self) -> bool:
        try:
            return bool(read(self.session, self.entity, "name", subject=self.subject))
        except NotFound:
            return False

    def _end(self) -> None:
        self._stop.set()
        keeper, self._keeper = self._keeper, None
        if keeper is not None and keeper is not threading.current_thread():
            keeper.join()
