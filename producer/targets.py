"""What the command line or fleet.yaml names -> folders and repositories to look at. No request."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from driftfleet.errors import ConfigurationError
from driftfleet.names import is_organisation, is_ref, is_repository
from driftfleet.repository_rule import RepositoryRule
from driftfleet.settings import GitHubSettings, Settings

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
    if not target.strip():
        # A variable in a script that is empty: the current folder is hardly what was meant.
        raise ConfigurationError(f"an empty target ('{target}'): {_how_to_name(folders=folders)}")
    if target.startswith("org:"):
        return _organisation(target)
    path = _expanded(target)
    if folders and path.is_dir():
        return path.resolve()
    if folders and path.exists():
        raise ConfigurationError(f"{target}: is a file; name the folder that holds your Terraform")
    name, at, ref = target.partition("@")
    if is_repository(name):
        return _repository(target, name, ref if at else None)
    if "://" in target or target.startswith("git@"):
        raise ConfigurationError(f"{target}: {_from_url(target, github)}")
    if not folders and path.exists():
        raise ConfigurationError(
            f"{target}: is a folder of this machine, which workers elsewhere don't have; check it "
            f"here with `driftfleet scan {target}`, or name a repository as owner/repo"
        )
    what = "no such folder" if folders else "is no repository"
    raise ConfigurationError(f"{target}: {what}; {_near(target)}")


def _expanded(target: str) -> Path:
    try:
        return Path(target).expanduser()
    except RuntimeError as error:
        raise ConfigurationError(f"{target}: nobody knows the home folder it names") from error


def _repository(target: str, name: str, ref: str | None) -> RepositoryRule:
    if ref is None:
        return RepositoryRule(repo=name)
    if not ref:
        raise ConfigurationError(
            f"{target}: names no ref after the '@': write {name}@BRANCH, or {name} for the "
            "default branch"
        )
    if not is_ref(ref):
        raise ConfigurationError(f"{target}: {ref!a} is no branch, tag or commit")
    return RepositoryRule(repo=name, ref=ref)


def _organisation(target: str) -> RepositoryRule:
    name = target.removeprefix("org:")
    if not is_organisation(name):
        raise ConfigurationError(f"{target}: names no organisation: it is written org:NAME")
    return RepositoryRule(org=name)


def _near(target: str) -> str:
    """What was probably meant, else how anything is named."""
    for pattern, words in _NEAR:
        match = pattern.fullmatch(target)
        if match is not None and is_repository(match[1] if "/" in match[1] else f"{match[1]}/x"):
            return match.expand(words)
    return "a repository is written owner/repo or owner/repo@ref, an organisation org:NAME"


_OWNER_AND_NAME = r"([\w.-]+/[\w.-]+)"
_NEAR = tuple(
    (re.compile(pattern, re.ASCII), words)
    for pattern, words in (
        (rf"{_OWNER_AND_NAME}/", r"did you mean the repository \1?"),
        (rf"{_OWNER_AND_NAME}[#:]([^#:]+)", r"did you mean \1@\2?"),
        (r"(?i:org):\s*([\w.-]+)", r"did you mean org:\1?"),
        (r"([\w.-]+)/\*{0,2}", r"all of an organisation's repositories are org:\1"),
        (rf"{_OWNER_AND_NAME}/.+", r"a repository is written owner/repo and taken whole: \1"),
        (r"([\w-]+)", r"a repository is written owner/repo, an organisation org:NAME (org:\1)"),
    )
)


def _from_url(target: str, github: GitHubSettings) -> str:
    """What to write in place of a URL that somebody pasted."""
    path = re.sub(r"^\w+://[^/]*/|^git@[^:]*:", "", target).removesuffix("/").removesuffix(".git")
    if is_repository(path):
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


def _how_to_name(*, folders: bool) -> str:
    return f"name {'a folder, ' if folders else ''}owner/repo, owner/repo@ref or org:NAME"


def _nothing_named(*, folders: bool) -> str:
    what = "nothing to look at" if folders else "no repository named"
    return f"""{what}: {_how_to_name(folders=folders)}, or list repositories in fleet.yaml:
  repositories:
    - owner/repo
    - org: NAME"""


def _no_github(rule: RepositoryRule, *, named: bool, folders: bool) -> str:
    title = title_of(rule)
    if not named:
        return f"repositories are listed ({title}), but no GitHub is.\n{HOW_TO_NAME_GITHUB}"
    here = " no such folder here, and" if folders and rule.repo else ""
    return f"{title}:{here} no GitHub is configured to look for it.\n{HOW_TO_NAME_GITHUB}"
