"""Targets -> what there is to check in them, folders and repositories alike."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from driftfleet.settings import Settings
from producer.cache_place import kept_or_temporary_cache
from producer.found import (
    Outlook,
    find_in_folders,
    merged,
    require_terraform,
    rootless_messages,
)
from producer.progress import Progress
from producer.targets import Targets

if TYPE_CHECKING:
    from producer.look import Access


def survey(
    targets: Targets,
    settings: Settings,
    environment: Mapping[str, str],
    folder: Path | None,
    progress: Progress,
    *,
    shown: bool = False,
) -> Outlook:
    """Look at every target, and tell what a person should know of it.

    ``folder`` is the cache's; it may be None where no repository is named. ``shown`` says that
    every folder will be shown, roots or not.

    Raises
    ------
    ConfigurationError
        Credentials were refused, or a setting or a secret is missing.
    SecretUnavailable
        The place that keeps the token did not answer.
    """
    try:
        outlooks = [Outlook(messages=targets.messages)]
        outlooks.append(find_in_folders(targets.folders, settings.discovery))
        if targets.rules:
            assert folder is not None
            # Folders need no client, which takes its time to import.
            from producer.access import open_access  # noqa: PLC0415

            with open_access(settings, environment, folder, progress.message) as access:
                outlooks.append(_look(targets, settings, access, progress, shown=shown))
    finally:
        progress.end()
    outlook = merged(outlooks)
    for message in (*outlook.messages, *outlook.problems):
        progress.message(message)
    return outlook


@dataclass(frozen=True)
class SurveyOrder:
    """Whose roots to look at, and where to print what is said of them."""

    targets: Targets
    settings: Settings
    environment: Mapping[str, str]
    progress: Progress
    stdout: TextIO
    as_json: bool

    def survey(self, *, shown: bool = False) -> Outlook:
        """`survey`, where nothing else needs the cache, and where there has to be Terraform.

        Raises `ConfigurationError` where there is none, in a folder or in all of the repositories.
        """
        settings, environment, progress = self.settings, self.environment, self.progress
        with ExitStack() as stack:
            cache = None
            if self.targets.rules:
                kept = kept_or_temporary_cache(settings, environment, progress)
                cache = stack.enter_context(kept)
            outlook = survey(self.targets, settings, environment, cache, progress, shown=shown)
        require_terraform(outlook)
        return outlook


def _look(
    targets: Targets, settings: Settings, access: "Access", progress: Progress, *, shown: bool
) -> Outlook:
    from producer.look_around import look_at_all  # noqa: PLC0415
    from producer.repositories import choose  # noqa: PLC0415

    progress.doing(f"asking {access.github.host.name} for repositories")
    choice = choose(access.github, targets.rules)
    tell = partial(_show, progress, len(choice.wanted))
    outlook = look_at_all(choice.wanted, access, settings.discovery, tell)
    listed = Outlook(troubles=tuple(choice.troubles), messages=tuple(choice.messages))
    told = Outlook(messages=tuple(rootless_messages(outlook.found, shown=shown)))
    return merged([listed, outlook, told])


def _show(progress: Progress, total: int, done: int, names: Sequence[str]) -> None:
    progress.looking(done, total, names)
