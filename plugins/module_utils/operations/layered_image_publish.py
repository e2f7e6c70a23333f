# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publishing many templates: side by side, each on its own, one outcome."""

from __future__ import annotations

import functools
from collections.abc import Callable

from ..catalog.documents import TEMPLATE
from ..catalog.templates import resolve
from ..common.errors import InvalidInput, StrataError
from ..common.outcome import Outcome
from ..common.progress import Progress, silent
from ..common.worker_pool import run_jobs
from ..images.plan import contested
from ..publish.cancel import cancel_publishing
from ..publish.publish_task import FAILED
from ..publish.publisher import Published, Publisher, composer_error
from ..publish.steps import TIMEOUTS, PublishOptions
from ..repository.repository import Repository
from ..vsphere.session import Session


def publish_templates(
    params: dict, *, connection: dict, check_mode: bool, diff_mode: bool = False, progress: Progress = silent
) -> Outcome:
    """Publish each template that a module's options name, or cancel its publishing; one that fails does not keep the others from it."""
    repository = Repository.open(params["repository"], writable=not check_mode)
    options = _options(params)
    names = list(dict.fromkeys(params["templates"]))
    one = _cancel if params["state"] == "canceled" else _publish
    keywords = {
        "repository": repository,
        "connection": connection,
        "options": options,
        "check_mode": check_mode,
        "diff_mode": diff_mode,
    }
    work: dict[str, Callable] = {name: functools.partial(one, name, keywords) for name in names}
    found = run_jobs(work, params["parallel"], progress)
    return _outcome(
        {name: _failed(name, result) if isinstance(result, StrataError) else result for name, result in found.items()}
    )


def _options(params: dict) -> PublishOptions:
    timeouts = {step: seconds for step, seconds in (params["timeouts"] or {}).items() if seconds is not None}
    limits = timeouts | {
        "script_timeout": params["script_timeout"],
        "shutdown_timeout": params["shutdown_timeout"],
        "parallel": params["parallel"],
    }
    for name, value in limits.items():
        if value < 1:
            raise InvalidInput(f"{name} is {value}; it has to be at least 1.", code="operations.publish_option")
    for name in ("keep", "retries", "retry_pause"):
        if params[name] is not None and params[name] < 0:
            raise InvalidInput(f"{name} is {params[name]}; it must not be negative.", code="operations.publish_option")
    return PublishOptions(
        script_timeout=params["script_timeout"],
        shutdown_timeout=params["shutdown_timeout"],
        timeouts={step: timeouts.get(step, TIMEOUTS[step]) for step in TIMEOUTS},
        retries=params["retries"],
        retry_pause=params["retry_pause"],
        keep=params["keep"],
        comment=params["comment"],
    )


def _publish(name: str, given: dict, progress: Progress) -> Published:
    repository, check_mode = given["repository"], given["check_mode"]
    template = resolve(repository, repository.catalog.require(TEMPLATE, name))
    with Session.connect(**given["connection"]) as session:
        publisher = Publisher(repository, session, template, given["options"], progress)
        try:
            published = publisher.plan() if check_mode else publisher.publish()
        except OSError as error:
            raise composer_error(error) from error
    if given["diff_mode"] and published.before != published.after and published.after is not None:
        published.after = published.after | {"contested": contested(repository, template)}
    return published


def _cancel(name: str, given: dict, progress: Progress) -> Published:
    return cancel_publishing(
        given["repository"],
        given["connection"],
        name,
        given["options"],
        check_mode=given["check_mode"],
        progress=progress,
    )


def _failed(name: str, error: StrataError) -> Published:
    """What became of a template whose publishing could not be begun."""
    return Published(name, {"template": name, "status": FAILED, "description": str(error), "digest": None}, error=error)


def _outcome(found: dict[str, Published]) -> Outcome:
    tasks = [published.task for published in found.values()]
    errors = [(name, published.error) for name, published in found.items() if published.error is not None]
    if errors:
        name, first = errors[0]
        whose = f"{name}: " if len(found) > 1 else ""
        more = f" {len(errors) - 1} more of the {len(found)} templates failed." if len(errors) > 1 else ""
        raise type(first)(
            whose + first.message + more, code=first.code, hint=first.hint, **first.details | {"tasks": tasks}
        )
    warnings = [sentence for published in found.values() for sentence in published.warnings]
    before = {name: published.before for name, published in found.items()}
    after = {name: published.after for name, published in found.items() if published.after is not None}
    images = [published.image for published in found.values() if published.image is not None]
    changed = any(published.changed for published in found.values())
    return Outcome(changed, before, after, {"tasks": tasks, "images": images}, warnings)
