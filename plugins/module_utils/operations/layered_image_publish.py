# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation of the module layered_image_publish: publish several templates in parallel, or remove their images, with one outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..catalog.publish_task_record import PublishTaskRecord
from ..catalog.templates import require_resolved
from ..common.errors import InvalidInput, StrataError, composer_error
from ..common.outcome import Outcome
from ..common.progress import Progress, silent
from ..common.worker_pool import run_jobs
from ..publish.cancel import cancel_publishing, require_known
from ..publish.context import TIMEOUTS, PublishOptions
from ..publish.publish_task import FAILED
from ..publish.publisher import Published, Publisher
from ..publish.retiring.removal import remove_images
from ..publish.retiring.retention import RetentionRule
from ..repository.repository import Repository
from .desktops.horizon_servers import HorizonServers
from .options import ConnectionOptions, RepositoryOptions


@dataclass(frozen=True)
class LayeredImagePublishOptions:
    """The options of the module. ``state`` is present, canceled or absent; ``parallel``: templates published at a time."""

    repository: RepositoryOptions
    connection: ConnectionOptions
    templates: tuple[str, ...]
    state: str
    parallel: int
    publishing: PublishOptions

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> LayeredImagePublishOptions:
        """Read the module's parameters. Raises InvalidInput (operations.publish_option) for a number that is too small."""
        timeouts = {step: seconds for step, seconds in (params["timeouts"] or {}).items() if seconds is not None}
        positive = timeouts | {name: params[name] for name in ("script_timeout", "shutdown_timeout", "parallel")}
        for name, value in positive.items():
            _require_at_least(name, value, 1)
        for name in ("keep", "retries", "retry_pause"):
            _require_at_least(name, params[name], 0)
        return cls(
            repository=RepositoryOptions.from_params(params),
            connection=ConnectionOptions.from_params(params),
            templates=tuple(dict.fromkeys(params["templates"])),
            state=params["state"],
            parallel=params["parallel"],
            publishing=PublishOptions(
                script_timeout=params["script_timeout"],
                shutdown_timeout=params["shutdown_timeout"],
                timeouts=TIMEOUTS | timeouts,
                retries=params["retries"],
                retry_pause=params["retry_pause"],
                retention=RetentionRule(params["keep"], HorizonServers.optional(params)),
                comment=params["comment"],
            ),
        )


def _require_at_least(name: str, value: int | None, minimum: int) -> None:
    if value is not None and value < minimum:
        raise InvalidInput(
            f"The option {name} is {value}; it must be at least {minimum}.",
            code="operations.publish_option",
            hint=f"Set {name} to {minimum} or more.",
        )


def publish_templates(
    options: LayeredImagePublishOptions, *, check_mode: bool, diff_mode: bool = False, progress: Progress = silent
) -> Outcome:
    """Publish each template, cancel its publishing or remove its images; a template that fails does not stop the others.

    Raises:
        StrataError: the error of the first template that failed, with the tasks of all templates in its details.
    """
    repository = options.repository.open(check_mode=check_mode)
    job = _Job(repository, options, check_mode, diff_mode)
    results = run_jobs({name: job.for_template(name) for name in options.templates}, options.parallel, progress)
    return _outcome(
        {
            name: _not_started(name, result) if isinstance(result, StrataError) else result
            for name, result in results.items()
        }
    )


@dataclass(frozen=True)
class _Job:
    """Publishes or cancels one template, or removes its images, in a process of its own."""

    repository: Repository
    options: LayeredImagePublishOptions
    check_mode: bool
    diff_mode: bool

    def for_template(self, name: str) -> Callable[[Progress], Published]:
        run = {"present": self._publish, "canceled": self._cancel, "absent": self._remove}[self.options.state]
        return lambda progress: run(name, progress)

    def _publish(self, name: str, progress: Progress) -> Published:
        template = require_resolved(self.repository, name)
        with self.options.connection.connect() as session:
            publisher = Publisher(self.repository, session, template, self.options.publishing, progress)
            try:
                published = publisher.plan() if self.check_mode else publisher.publish()
            except OSError as error:
                raise composer_error(error) from error
        if self.diff_mode and published.before != published.after and published.after is not None:
            from ..images.planning.plan import contested

            published.after = published.after | {"contested": contested(self.repository, template)}
        return published

    def _cancel(self, name: str, progress: Progress) -> Published:
        require_known(self.repository, name)
        return self._end(cancel_publishing, name, progress)

    def _remove(self, name: str, progress: Progress) -> Published:
        return self._end(remove_images, name, progress)

    def _end(self, end: Callable[..., Published], name: str, progress: Progress) -> Published:
        with self.options.connection.connect() as session:
            return end(
                self.repository,
                session,
                name,
                self.options.publishing,
                check_mode=self.check_mode,
                progress=progress,
            )


def _not_started(name: str, error: StrataError) -> Published:
    """Return the result for a template whose publishing could not begin."""
    return Published(name, PublishTaskRecord(template=name, status=FAILED, description=str(error)), error=error)


def _outcome(results: dict[str, Published]) -> Outcome:
    tasks = [published.task.result() | {"changed": published.changed} for published in results.values()]
    errors = [(name, published.error) for name, published in results.items() if published.error is not None]
    if errors:
        name, first = errors[0]
        prefix = f"{name}: " if len(results) > 1 else ""
        others = ", ".join(other for other, _error in errors[1:])
        more = f" Of the {len(results)} templates, {others} failed, too." if others else ""
        raise type(first)(
            prefix + first.message + more, code=first.code, hint=first.hint, **first.details | {"tasks": tasks}
        )
    images = [published.image.result() for published in results.values() if published.image is not None]
    return Outcome(
        any(published.changed for published in results.values()),
        {name: published.before for name, published in results.items()},
        {name: published.after for name, published in results.items() if published.after is not None},
        {"tasks": tasks, "images": images, "removed": _removed(results)},
        [sentence for published in results.values() for sentence in published.warnings],
    )


def _removed(results: dict[str, Published]) -> list[dict[str, Any]]:
    return [
        {"template": name, **record.to_dict()} for name, published in results.items() for record in published.removed
    ]
