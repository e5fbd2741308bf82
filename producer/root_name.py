"""Which root a person means: as other commands print it, as a path, or by how its name ends."""

import difflib
import re
from collections.abc import Callable, Iterable, Sequence

from driftfleet.errors import ConfigurationError
from driftfleet.places import Named
from producer.chosen import Chosen, folder_called, slug_of
from producer.table import harmless

_MOST_TOLD = 10
_MOST_NEAR = 3
# `scan` prints `owner/repo: root [variant]`.
_AS_SCANNED = re.compile(r"(?P<repo>[^:\s]+/[^:\s]+): (?P<rest>.+)")
_VARIANT = re.compile(r" \[([\w.-]+)\]$")


def find_root(
    words: Sequence[str], chosen: Chosen, variant: str | None, known: Sequence[Named]
) -> Named:
    """The one root of those ``known`` that the words mean.

    They are ``owner/repo root variant``, of which the first and the last may be left out, parts
    joined by spaces or ``/``; a root's path, or how it ends; a folder that was scanned; or a
    repository that has one root.

    Raises
    ------
    ConfigurationError
        They mean none, or several; it names those, or the ones that are called nearly so.
    """
    text = _text(words)
    # As they are printed, for that is what is pasted.
    among = {Named(*map(harmless, one)): one for one in known if chosen.has_repository(one.repo)}
    if found := _meant(text, [one for one in among if variant in (None, one.variant)]):
        return among[_only(found, text)]
    if others := sorted({one.variant for one in _meant(text, among)}):
        told = ", ".join(others[:_MOST_TOLD]) + (", ..." if len(others) > _MOST_TOLD else "")
        raise ConfigurationError(f"'{text}' has no variant '{harmless(variant or '')}': {told}")
    raise ConfigurationError(f"no root is called '{text}'{_near(text, among)}")


def _text(words: Sequence[str]) -> str:
    text = _VARIANT.sub(r" \1", harmless(" ".join(words).strip()))
    if scanned := _AS_SCANNED.fullmatch(text):
        text = f"{scanned['repo']} {scanned['rest']}"
    return text.removeprefix("./").rstrip("/") or "."


def _meant(text: str, among: Iterable[Named]) -> list[Named]:
    """Those that the words mean in the first way in which they mean any."""
    every = list(among)
    for way in (_is_whole, _is_folder, _is_root, _ends, _is_repository):
        if found := list(filter(way(text), every)):
            return found
    return []


def _is_whole(text: str) -> Callable[[Named], bool]:
    """``owner/repo root variant``, or without the variant; joined by spaces or slashes."""

    def is_meant(one: Named) -> bool:
        repo, root, variant = one
        return text in {
            f"{repo} {root} {variant}", f"{repo} {root}",
            f"{repo}/{root}/{variant}", f"{repo}/{root}",
            *([repo] if root == "." else []),
        }  # fmt: skip

    return is_meant


def _is_folder(text: str) -> Callable[[Named], bool]:
    """A folder of this machine, in or below one that was scanned."""
    found = folder_called(text)
    if found is None:
        return lambda _: False
    folder = found.resolve()
    meant = {(slug_of(top), str(folder.relative_to(top))) for top in (folder, *folder.parents)}
    return lambda one: (one.repo, one.root) in meant


def _is_root(text: str) -> Callable[[Named], bool]:
    return lambda one: text in (one.root, f"{one.root} {one.variant}", f"{one.root}/{one.variant}")


def _ends(text: str) -> Callable[[Named], bool]:
    """How a root's path ends, after the ``/`` between two folders."""
    end = f"/{text}"
    return lambda one: f"/{one.root}".endswith(end) or f"/{one.root} {one.variant}".endswith(end)


def _is_repository(text: str) -> Callable[[Named], bool]:
    """Which may have but one root."""
    return lambda one: one.repo == text


def _only(found: Sequence[Named], text: str) -> Named:
    if len(found) == 1:
        return found[0]
    more = [f"  and {len(found) - _MOST_TOLD:,} more"] if len(found) > _MOST_TOLD else []
    raise ConfigurationError(
        "\n".join(
            [
                f"'{text}' may be one of {len(found):,} roots; name one of them whole:",
                *(f"  {one.title}" for one in found[:_MOST_TOLD]),
                *more,
            ]
        )
    )


def _near(text: str, among: Iterable[Named]) -> str:
    names: dict[str, Named] = {}
    for one in among:
        for name in (one.title, f"{one.repo} {one.root}", one.root, one.root.rpartition("/")[2]):
            names.setdefault(name, one)
    near = difflib.get_close_matches(text, names, _MOST_NEAR)
    titles = dict.fromkeys(names[name].title for name in near)
    if not titles:
        return ": `driftfleet status` shows those that there are"
    return "".join(["; did you mean", *(f"\n  {title}" for title in titles)])
