"""Targets -> the provider versions that all their roots need, and what of it is not known."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from driftfleet.errors import DriftfleetError
from driftfleet.mirror.needs import Needs, merged, needs_of
from driftfleet.settings import Settings
from driftfleet.tree import LOCK_FILE, LocalTree
from driftfleet.versions.version_file import Program
from producer.cache_place import kept_or_temporary_cache
from producer.found import Found, Outlook, require_roots
from producer.progress import Progress
from producer.survey import survey
from producer.targets import Targets

# A repository -> its roots, each with a program that may plan it.
Planning = Callable[[Found], Sequence[tuple[str, Program]]]


def fleet_needs(
    targets: Targets,
    settings: Settings,
    environment: Mapping[str, str],
    progress: Progress,
    planning: Planning,
) -> Needs:
    """Look at every target, and read what its roots need. What can't be looked at is a gap.

    Raises
    ------
    ConfigurationError
        There is no root module, or a setting is missing.
    SecretUnavailable
        The place that keeps the token did not answer.
    """
    with ExitStack() as stack:
        cache = None
        if targets.rules:
            cache = stack.enter_context(kept_or_temporary_cache(settings, environment, progress))
        outlook = survey(targets, settings, environment, cache, progress)
        require_roots(outlook)
        local = [_of_folder(one, planning) for one in outlook.found if one.source.kind == "local"]
        remote = _of_repositories(
            outlook, settings, environment, cache, progress, planning=planning
        )
    return merged([Needs(gaps=outlook.problems), *local, *remote])


def _of_folder(found: Found, planning: Planning) -> Needs:
    return needs_of(LocalTree(Path(found.source.repo)), planning(found), found.source.repo)


def _of_repositories(
    outlook: Outlook,
    settings: Settings,
    environment: Mapping[str, str],
    cache: Path | None,
    progress: Progress,
    *,
    planning: Planning,
) -> list[Needs]:
    wanted = [one for one in outlook.found if one.source.kind == "github" and _roots(one)]
    if not wanted:
        return []
    assert cache is not None
    # Folders need no client, which takes its time to import.
    from driftfleet.github.snapshot import Snapshot  # noqa: PLC0415
    from producer.access import open_access  # noqa: PLC0415
    from producer.look import paths_that_matter  # noqa: PLC0415

    needs = []
    with open_access(settings, environment, cache, progress.message) as access:
        for one in wanted:
            name = one.source.repo
            progress.doing(f"reading the lock files of {name}")
            snapshot = Snapshot(
                access.github, name, one.source.sha, access.cache(), access.settings
            )
            try:
                lock_files = {_lock_file(root) for root in _roots(one)}
                here = [path for path in snapshot.paths() if path in lock_files]
                snapshot.fetch([*paths_that_matter(snapshot), *here], refuse_large=False)
                needs.append(needs_of(snapshot, planning(one), name))
            except DriftfleetError as error:
                needs.append(Needs(gaps=(f"{name}: {error.message}",)))
    progress.end()
    return needs


def _roots(found: Found) -> list[str]:
    return [folder.path for folder in found.discovery.roots]


def _lock_file(root: str) -> str:
    return LOCK_FILE if root == "." else f"{root}/{LOCK_FILE}"
