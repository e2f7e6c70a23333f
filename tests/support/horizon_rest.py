# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plain client of Horizon's REST API, for tests of the simulator."""

from __future__ import annotations

import json
from typing import Any

import requests

from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator


class RestClient:
    """Sends requests to a simulator without any repetition. ``tokens`` are those of the login."""

    def __init__(self, horizon: HorizonSimulator) -> None:
        self.horizon = horizon
        self.tokens: dict[str, str] = {}
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = horizon.ca_file

    @classmethod
    def log_in(cls, horizon: HorizonSimulator, username: str | None = None, password: str | None = None) -> RestClient:
        """Return a client that is logged in."""
        client = cls(horizon)
        login = {
            "domain": horizon.domain,
            "username": username or horizon.username,
            "password": password or horizon.password,
        }
        answer = client.send("POST", "/login", login)
        assert answer.status_code == 200, answer.text
        client.tokens = answer.json()
        return client

    def send(self, method: str, path: str, body: object = None, **query: object) -> requests.Response:
        """Send a request and return the response of any status."""
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}"} if self.tokens else {}
        params = {name: str(value) for name, value in query.items()}
        return self._session.request(
            method, self.horizon.url + path, json=body, params=params, headers=headers, timeout=60
        )

    def get(self, path: str, **query: object) -> Any:
        """Return the body of a GET request that succeeds."""
        answer = self.send("GET", path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def status(self, method: str, path: str, body: object = None, **query: object) -> int:
        """Send a request and return the status."""
        return self.send(method, path, body, **query).status_code

    def push(self, pool: str, snapshot: str = "New", **fields: object) -> requests.Response:
        """Push a snapshot of the VM golden to a pool."""
        path = f"/inventory/v2/desktop-pools/{self.horizon.pool(pool)['id']}/action/schedule-push-image"
        return self.send("POST", path, {**self.image(snapshot), "logoff_policy": "WAIT_FOR_LOGOFF", **fields})

    def act(self, pool: str, action: str, body: object = None, **query: object) -> int:
        """Call an action of a pool and return the status."""
        path = f"/inventory/v1/desktop-pools/{self.horizon.pool(pool)['id']}/action/{action}"
        return self.status("POST", path, body, **query)

    def maintain(self, farm: str, snapshot: str | None = "New", **fields: object) -> requests.Response:
        """Schedule a maintenance of a farm, with a snapshot of the VM golden unless it is None."""
        path = f"/inventory/v2/farms/{self.horizon.farm(farm)['id']}/action/schedule-maintenance"
        image = {} if snapshot is None else self.image(snapshot)
        given = {"maintenance_mode": "IMMEDIATE", "logoff_policy": "WAIT_FOR_LOGOFF", **fields}
        return self.send("POST", path, {**image, **given})

    def image(self, snapshot: str) -> dict[str, str]:
        """Return the fields of a push for a snapshot of the VM golden."""
        for vm in self.horizon.vcenters()[0]["vms"]:
            for candidate in vm["snapshots"]:
                if (vm["name"], candidate["name"]) == ("golden", snapshot):
                    return {"parent_vm_id": vm["moid"], "snapshot_id": candidate["moid"]}
        raise AssertionError(f"the VM golden has no snapshot {snapshot}")

    def tasks(self, pool: str) -> Any:
        """Return the tasks of a pool."""
        return self.get(f"/inventory/v1/desktop-pools/{self.horizon.pool(pool)['id']}/tasks")

    @staticmethod
    def equals(name: str, value: object) -> str:
        """Return a filter."""
        return json.dumps({"type": "Equals", "name": name, "value": value})
