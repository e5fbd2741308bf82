"""The repositories of a server, by their names."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.standin.repositories import File, Repository, copy_bare, create_bare, git


class Catalog:
    """Repositories that tests add, commit to and rename, each a bare one in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repositories: dict[int, Repository] = {}
        self._names: dict[str, int] = {}

    def add_repository(
        self,
        full_name: str,
        files: Mapping[str, File] | None = None,
        *,
        bare: Path | None = None,
        archived: bool = False,
        disabled: bool = False,
        fork: bool = False,
        private: bool = True,
        visible_to: Iterable[str] | None = None,
        topics: Iterable[str] = (),
        language: str | None = "HCL",
        default_branch: str = "main",
    ) -> str:
        """Serve a new repository and return its head's SHA: empty for one without files.

        ``bare`` is a bare repository to copy instead of files.
        """
        owner, name = full_name.split("/")
        assert full_name.lower() not in self._names, f"{full_name} exists"
        number = len(self.repositories) + 1001
        repository = Repository(
            id=number,
            owner=owner,
            name=name,
            folder=self.folder / f"{number}.git",
            default_branch=default_branch,
            archived=archived,
            disabled=disabled,
            fork=fork,
            private=private,
            topics=tuple(topics),
            language=language,
            visible_to=None if visible_to is None else set(visible_to),
        )
        if bare is not None:
            copy_bare(bare, repository.folder)
        else:
            create_bare(repository.folder, default_branch)
        self.repositories[number] = repository
        self._names[full_name.lower()] = number
        return self.commit(full_name, files) if files else self.head(full_name)

    def commit(
        self,
        full_name: str,
        files: Mapping[str, File] | None = None,
        delete: Iterable[str] = (),
        *,
        branch: str | None = None,
        message: str = "A change",
    ) -> str:
        """Commit to a branch (the default one) and return the SHA."""
        repository = self.repository(full_name)
        where = branch or repository.default_branch
        return repository.commit(files or {}, delete, where, message)

    def head(self, full_name: str, ref: str = "HEAD") -> str:
        """The SHA of a ref; empty where there is none."""
        return self.repository(full_name).resolve(ref) or ""

    def branch(self, full_name: str, name: str, sha: str = "HEAD") -> None:
        """Set a branch; its name may hold slashes."""
        git(self.repository(full_name).folder, "branch", "--force", name, sha)

    def tag(self, full_name: str, name: str, sha: str = "HEAD", *, annotated: bool = False) -> None:
        """Set a tag."""
        who = ("-c", "user.name=Stand-in", "-c", "user.email=standin@example.com")
        how = ("-a", "-m", name) if annotated else ()
        git(self.repository(full_name).folder, *who, "tag", "--force", *how, name, sha)

    def rename(self, old: str, new: str) -> None:
        """Give a repository another name; the old one redirects."""
        repository = self.repository(old)
        repository.owner, repository.name = new.split("/")
        self._names[new.lower()] = repository.id

    def repository(self, full_name: str) -> Repository:
        """A repository by its present or a former name."""
        return self.repositories[self._names[full_name.lower()]]

    def find(self, owner: str, name: str) -> tuple[Repository | None, bool]:
        """A repository, and whether that is a former name. Names ignore case."""
        asked = f"{owner}/{name}".lower()
        repository = self.repositories.get(self._names.get(asked, 0))
        return repository, repository is not None and repository.full_name.lower() != asked
