# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP requests to registries, with the certificate authorities and proxies of a connection.

The adapter of requests is used without its session. A session would read .netrc, send the cookies of a registry back (Harbor
takes a client with cookies for a browser), and let REQUESTS_CA_BUNDLE replace the option ca_path.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...common.errors import InvalidInput, StrataError
from ...common.optional_imports import requests, urllib3
from ...common.tls import unverified_context, verifying_context
from ..model import RegistryConnection
from .connection_errors import connection_error, is_final
from .exchange import ExchangeFailed, Request, Stream, server_time

#: Connections to a host that are kept open.
_CONNECTIONS = 32
_USER_AGENT = "strata.layering"
_PROXY_SCHEMES = ("http", "https")


class Transport:
    """Sends requests once each. Several threads may use it."""

    def __init__(self, connection: RegistryConnection) -> None:
        """Prepare connections; nothing is sent.

        Raises:
            InvalidInput: ``oci_registry.ca_file` or ``oci_registry.proxy_url``.
        """
        self._connection = connection
        try:
            context = verifying_context(connection.ca_file) if connection.validate_certs else unverified_context()
        except OSError as error:
            raise InvalidInput(
                f"The file of certificate authorities {connection.ca_file} cannot be used: {error.strerror or error}.",
                code="oci_registry.ca_file",
                hint="Set ca_path to a file with certificates in PEM form.",
            ) from error
        if connection.proxy and urllib.parse.urlsplit(connection.proxy).scheme not in _PROXY_SCHEMES:
            raise InvalidInput(
                "The option proxy is not the URL of an HTTP proxy.",
                code="oci_registry.proxy_url",
                hint="Set proxy to a URL such as http://proxy.example.com:3128.",
            )
        if not connection.validate_certs:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._adapter = _adapter_class()(context, pool_connections=_CONNECTIONS, pool_maxsize=_CONNECTIONS)
        self._failures = _failures()
        self._server_time: float | None = None
        self._time_lock = threading.Lock()

    def close(self) -> None:
        """Close all connections that are not in use."""
        self._adapter.close()

    def server_time(self) -> float | None:
        """Return the time of the newest answer of the registry in seconds since 1970, None if there is none."""
        return self._server_time

    def send(self, request: Request, url: str, authorization: str | None) -> Stream:
        """Send a request to ``url``, which may be the target of a redirect, and return its answer with any status.

        Raises:
            ExchangeFailed: there is no answer.
        """
        headers = {"User-Agent": _USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"} | dict(request.headers)
        if authorization is not None:
            headers["Authorization"] = authorization
        patience = self._connection.patience
        reading = request.timeout or patience.read
        with self._reported(url):
            prepared = requests.Request(request.method, url, headers=headers, data=request.body).prepare()
            response = self._adapter.send(
                prepared,
                stream=True,
                # The first number is also the limit for each piece of the body that is sent.
                timeout=(patience.connect if request.body is None else patience.read, reading),
                verify=self._connection.validate_certs,
                proxies=self._proxies(url),
            )
        self._note_time(response.headers)
        return Stream(response.status_code, response.headers, url, self._reader(response, url), response.close)

    def _reader(self, response: Any, url: str) -> Callable[[int], bytes]:
        encoded = (response.headers.get("Content-Encoding") or "identity") != "identity"

        def read(count: int) -> bytes:
            with self._reported(url):
                if encoded:
                    raise ValueError("the answer is compressed, although this was not requested")
                data: bytes = response.raw.read(count, decode_content=False)
                return data

        return read

    @contextlib.contextmanager
    def _reported(self, url: str) -> Iterator[None]:
        """Report a failure of the libraries as ExchangeFailed."""
        try:
            yield
        except (StrataError, ExchangeFailed):
            raise
        except self._failures as cause:
            # An error of the caller, such as a full disk in a progress function, is wrapped as well: it is passed on.
            error = connection_error(cause, self._connection, urllib.parse.urlsplit(url).netloc)
            raise ExchangeFailed(cause, error, final=is_final(cause)) from cause

    def _note_time(self, headers: Mapping[str, str]) -> None:
        found = server_time(headers)
        if found is not None:
            with self._time_lock:
                self._server_time = found

    def _proxies(self, url: str) -> dict[str, str]:
        """Return the proxy for a URL in the form of requests; an object store may need a different proxy than the registry."""
        proxy = self._connection.proxy
        if proxy is None:
            return dict(requests.utils.get_environ_proxies(url))
        return {"http": proxy, "https": proxy} if proxy else {}


@functools.cache
def _failures() -> tuple[type[BaseException], ...]:
    return (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError)


@functools.cache
def _adapter_class() -> Any:
    """Return the class of adapters; requests is imported at the first use of a registry."""

    class Adapter(requests.adapters.HTTPAdapter):
        """An adapter that uses one TLS context for all connections, also for those to a proxy."""

        def __init__(self, context: Any, **options: Any) -> None:
            self._context = context
            super().__init__(**options)

        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
            """Create the pools."""
            super().init_poolmanager(*arguments, ssl_context=self._context, **options)

        def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
            """Return the pools of a proxy."""
            return super().proxy_manager_for(
                proxy, ssl_context=self._context, proxy_ssl_context=self._context, **options
            )

        def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
            """Leave the authorities of the context alone; requests would add its own."""
            conn.cert_reqs = "CERT_REQUIRED" if verify else "CERT_NONE"
            conn.ca_certs = conn.ca_cert_dir = None

    return Adapter
