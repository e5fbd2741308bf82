"""Which of the roots that the store knows are meant, by what a command line names."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from driftfleet.errors import ConfigurationError
from driftfleet.globs import folder_matches
from driftfleet.jobs import Source
from driftfleet.results import Verdict
from producer.table import harmless

_MOST_NEAR = 3


@dataclass(frozen=True)
class Chosen:
    """Repositories as the command line names them, globs over roots' paths, verdicts.

    Of each kind where there is none all are meant.
    """

    targets: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()

    def has_repository(self, repo: str, ref: str | None = None) -> bool:
        """Whether results of ``repo`` are meant; of any ref of it where none is given."""
        return not self.targets or any(self._is_of(repo, ref, target) for target in self.targets)

    def has_root(self, root: str) -> bool:
        """Whether a root at this path is."""
        return not self.roots or any(folder_matches(root, glob) for glob in self.roots)

    def has_verdict(self, verdict: Verdict) -> bool:
        """Whether roots with this verdict are."""
        return not self.verdicts or verdict in self.verdicts

    def has(self, repo: str, ref: str, root: str, verdict: Verdict) -> bool:
        """Whether a root is meant with all that is known of it."""
        return self.has_repository(repo, ref) and self.has_root(root) and self.has_verdict(verdict)

    def require(self, known: Iterable[str], where: str) -> None:
        """Refuse a store, at ``where``, that knows nothing, or nothing of one of the repositories.

        Raises
        ------
        ConfigurationError
            It says how to get results, or names the repositories that are called nearly so.
        """
        repos = sorted(set(known))
        if not repos:
            raise ConfigurationError(
                f"{where} holds no result: check roots first (`driftfleet scan` or `driftfleet "
                "enqueue`), or name another place (--results, or results.store in fleet.yaml)"
            )
        strange = [t for t in self.targets if not any(self._is_of(repo, None, t) for repo in repos)]
        if strange:
            told = [harmless(f"{one}{_near(one, repos)}") for one in strange]
            raise ConfigurationError(f"{where} knows no root of {', or of '.join(told)}")

    def _is_of(self, repo: str, ref: str | None, target: str) -> bool:
        if target.startswith("org:"):
            return repo.partition("/")[0].lower() == target.removeprefix("org:").lower()
        if repo.lower() in (target.lower(), self._slugs[target]):
            return True
        name, at, wanted = target.partition("@")
        return repo.lower() == name.lower() and (not at or ref is None or ref == wanted)

    @cached_property
    def _slugs(self) -> dict[str, str | None]:
        """By target that of the folder that is here; the disk isn't asked for each root."""
        folders = {target: folder_called(target) for target in self.targets}
        return {t: slug_of(folder).lower() if folder else None for t, folder in folders.items()}


def slug_of(folder: Path) -> str:
    """What results of a local folder are kept under."""
    return Source(kind="local", repo=str(folder.resolve())).slug


def folder_called(name: str) -> Path | None:
    """The folder of this machine that has this name; None where none has, or none can."""
    try:
        return path if (path := Path(name)).is_dir() else None
    except OSError:
        # Too long a name, or in a folder that we may not look into.
        return None


def _near(target: str, repos: Sequence[str]) -> str:
    found = difflib.get_close_matches(target.partition("@")[0], repos, _MOST_NEAR)
    return f" (did you mean {' or '.join(found)}?)" if found else ""
