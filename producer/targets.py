"""What the command line or fleet.yaml names -> folders and repositories to look at. No request."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from driftfleet.errors import ConfigurationError
from driftfleet.settings import GitHubSettings, RepositoryRule, Settings

_REPOSITORY = re.compile(r"(?P<owner>[A-Za-z0-9_][\w.-]*)/(?P<name>[\w.-]+)", re.ASCII)
_ORGANISATION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
HOW_TO_NAME_GITHUB = """\
Say where GitHub is and where the token is kept, in fleet.yaml:
  github:
    url: https://github.example.com
    token: env://GITHUB_TOKEN
or in the environment:
  DRIFTFLEET_GITHUB__URL=https://github.example.com
  DRIFTFLEET_GITHUB__TOKEN=env://GITHUB_TOKEN"""


@dataclass(frozen=True)
class Targets:
    """Absolute folders, each once, and the rules that say which repositories.

    ``messages`` is what a person should know of how the targets were read.
    """

    folders: tuple[Path, ...] = ()
    rules: tuple[RepositoryRule, ...] = ()
    messages: tuple[str, ...] = ()


def read_targets(
    targets: Sequence[str], settings: Settings, *, folders: bool = True, needs_github: bool = True
) -> Targets:
    """Read what the command line names, else what fleet.yaml does.

    A target is a folder, ``owner/repo``, ``owner/repo@ref`` or ``org:NAME``; a folder that exists
    wins over a repository of the same spelling. ``folders`` says whether folders are any good,
    ``needs_github`` whether repositories are of no use without a GitHub.

    Raises
    ------
    ConfigurationError
        A target is nothing of that, or a repository is named and no GitHub is configured.
    """
    if not targets and not settings.repositories:
        raise ConfigurationError(_nothing_named(folders=folders))
    found: list[Path] = []
    rules: list[RepositoryRule] = [] if targets else list(settings.repositories)
    for target in targets:
        one = _read(target, settings.github, folders=folders)
        if isinstance(one, Path):
            found.append(one)
        else:
            rules.append(one)
    if rules and needs_github and not settings.github.is_named:
        raise ConfigurationError(_no_github(rules[0], named=bool(targets), folders=folders))
    _refuse_two_refs(rules)
    kept, messages = _without_nested(dict.fromkeys(found))
    return Targets(folders=kept, rules=tuple(dict.fromkeys(rules)), messages=messages)


def title_of(rule: RepositoryRule) -> str:
    """A rule as a target is written: ``owner/repo@ref`` or ``org:NAME``."""
    if rule.org is not None:
        return f"org:{rule.org}"
    return f"{rule.repo}@{rule.ref}" if rule.ref else str(rule.repo)


def _read(target: str, github: GitHubSettings, *, folders: bool) -> Path | RepositoryRule:
    if target.startswith("org:"):
        return _organisation(target)
    path = Path(target).expanduser()
    if folders and path.is_dir():
        return path.resolve()
    if folders and path.exists():
        raise ConfigurationError(f"{target}: is a file; name the folder that holds your Terraform")
    name, at, ref = target.partition("@")
    if _is_repository(name):
        if at and not ref:
            raise ConfigurationError(
                f"{target}: names no ref after the '@': write {name}@BRANCH, or {name} for the "
                "default branch"
            )
        return RepositoryRule(repo=name, ref=ref)
    if "://" in target or target.startswith("git@"):
        raise ConfigurationError(f"{target}: {_from_url(target, github)}")
    if not folders and path.exists():
        raise ConfigurationError(
            f"{target}: is a folder of this machine, which workers elsewhere don't have; check it "
            f"here with `driftfleet scan {target}`, or name a repository as owner/repo"
        )
    if folders:
        raise ConfigurationError(f"{target}: no such folder")
    raise ConfigurationError(
        f"{target}: is no repository: it is written owner/repo, owner/repo@ref or org:NAME"
    )


def _organisation(target: str) -> RepositoryRule:
    name = target.removeprefix("org:")
    if not _ORGANISATION.fullmatch(name):
        raise ConfigurationError(f"{target}: names no organisation: it is written org:NAME")
    return RepositoryRule(org=name)


def _is_repository(name: str) -> bool:
    match = _REPOSITORY.fullmatch(name)
    return match is not None and match["name"] not in (".", "..")


def _from_url(target: str, github: GitHubSettings) -> str:
    """What to write in place of a URL that somebody pasted."""
    path = re.sub(r"^\w+://[^/]*/|^git@[^:]*:", "", target).removesuffix("/").removesuffix(".git")
    if _is_repository(path):
        where = f" on {github.url}" if github.url else ""
        return f"name a repository{where} as owner/repo: {path}"
    return "name a repository as owner/repo"


def _without_nested(folders: Iterable[Path]) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Drop what lies in another folder: its roots would be checked twice."""
    kept, messages = [], []
    folders = list(folders)
    for folder in folders:
        above = next((other for other in folders if other in folder.parents), None)
        if above is None:
            kept.append(folder)
        else:
            messages.append(f"{folder}: is looked at once, as part of {above}")
    return tuple(kept), tuple(messages)


def _refuse_two_refs(rules: Iterable[RepositoryRule]) -> None:
    """Results are kept by repository and root: of two refs each would replace the other's."""
    refs: dict[str, RepositoryRule] = {}
    for rule in rules:
        if rule.repo is not None:
            first = refs.setdefault(rule.repo.lower(), rule)
            if first.ref != rule.ref:
                raise ConfigurationError(
                    f"{title_of(first)} and {title_of(rule)}: a repository is checked at one ref "
                    "at a time, or the results of one would replace those of the other"
                )


def _nothing_named(*, folders: bool) -> str:
    if folders:
        what = "nothing to look at: name a folder, owner/repo, owner/repo@ref or org:NAME"
    else:
        what = "no repository named: name owner/repo, owner/repo@ref or org:NAME"
    return f"""{what}, or list repositories in fleet.yaml:
  repositories:
    - owner/repo
    - org: NAME"""


def _no_github(rule: RepositoryRule, *, named: bool, folders: bool) -> str:
    title = title_of(rule)
    if not named:
        return f"repositories are listed ({title}), but no GitHub is.\n{HOW_TO_NAME_GITHUB}"
    here = " no such folder here, and" if folders and rule.repo else ""
    return f"{title}:{here} no GitHub is configured to look for it.\n{HOW_TO_NAME_GITHUB}"
