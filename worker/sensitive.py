"""Secrets that a root's own files and its plan hold: what terraform is told to keep to itself.

Providers print what they were given. Everything here is a repository's: what is read is bounded,
and what can't be read is left out.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from driftfleet.blocks import Argument, Block, SyntaxDoubt, items
from driftfleet.hcl import is_terraform_file
from driftfleet.jobs import Job, Variant
from driftfleet.redaction.known import SHORTEST_SECRET
from driftfleet.redaction.names import is_secret_name, secrets_in
from driftfleet.redaction.redactor import Redactor, distinct, shaped
from driftfleet.results import Change
from driftfleet.tree import FilesInside

_MOST_FILES = 200
_FILE_BYTES = 512 << 10
_ALL_BYTES = 1 << 20
_MOST_VALUES = 500
_LONGEST_VALUE = 16 << 10
_MOST_NODES = 100_000
_SHORTEST_PLANNED = 8
_VALUE_FILES = (".auto.tfvars", ".auto.tfvars.json")
_STRING = re.compile(r'"((?:[^"\\\n]|\\.){1,16384})"')
_HEREDOC = re.compile(r"<<-?\w+\n")
_KEY = re.compile(r'\["(?:[^"\\]|\\.){0,10000}"\]')
_PREFIX = "TF_VAR_"


def secrets_of(variant: Variant) -> list[str]:
    """What a variant itself holds of them: its environment, and its backend's settings."""
    settings = dict(s.split("=", 1) for s in variant.backend_config if "=" in s)
    return secrets_in({**settings, **variant.env})


def sensitive_values(top: Path, job: Job) -> list[str]:
    """The secrets in the files of a job's root: ``top`` is the repository's folder.

    Those are values of variables that are declared ``sensitive``, from var files, from the
    variant's environment and by default, and all that is assigned to a name that says so.
    """
    texts = _Texts(FilesInside(top, _FILE_BYTES))
    folder = "" if job.root == "." else f"{job.root}/"
    names = _names(top / job.root)
    given = [folder + n for n in names if _holds_values(n)]
    backends = [setting for setting in job.variant.backend_config if "=" not in setting]
    values = [texts.read(path) for path in (*given, *job.variant.var_files, *backends)]
    code = [texts.read(folder + n) for n in names if is_terraform_file(n)]
    found: list[str] = []
    sensitive = {name for text in code for name in _declared(text, found)}
    for text in values:
        found += _assigned(text, sensitive)
    for text in (*code, *values):
        found += shaped(text)
    for name, value in job.variant.env.items():
        if name.removeprefix(_PREFIX) in sensitive and name.startswith(_PREFIX):
            found += [value, *_strings(value)]
    return _bounded(found)


def sensitive_in_plan(plan: Mapping[str, Any]) -> list[str]:
    """The strings that a plan's JSON marks as sensitive: of variables, and of resources."""
    try:
        return _bounded(s for s in _marked(plan) if len(s) >= _SHORTEST_PLANNED)
    except (AttributeError, TypeError):
        # It is no plan; `judge` says so.
        return []


def masked_changes(changes: Iterable[Change], redact: Callable[[str], str]) -> tuple[Change, ...]:
    """Changes without secrets in the keys of ``for_each``; two that differed still do.

    A name in code is no secret that somebody has given it, whatever it is the same as: only what
    looks like one is masked there.
    """
    changes = tuple(changes)
    looks = Redactor()

    def masked(address: str) -> str:
        return _KEY.sub(lambda key: redact(key.group()), looks(address))

    shown = distinct((c.address for c in changes), masked)
    modules = distinct((c.module for c in changes), masked)
    names = {name: redact(name) for c in changes for name in c.attributes}
    return tuple(
        c.model_copy(
            update={
                "address": shown[c.address],
                "module": modules[c.module],
                "attributes": tuple(names[name] for name in c.attributes),
            }
        )
        for c in changes
    )


class _Texts:
    """Reads files until it has read enough; what can't be read is an empty text."""

    def __init__(self, files: FilesInside) -> None:
        self._files = files
        self._bytes_left = _ALL_BYTES

    def read(self, path: str) -> str:
        if self._bytes_left <= 0:
            return ""
        try:
            content = self._files.read(path)
        except (OSError, ValueError):
            return ""
        self._bytes_left -= len(content)
        return content.decode("utf-8-sig", "replace")


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))[:_MOST_FILES]
    except OSError:
        return []


def _holds_values(name: str) -> bool:
    return name in ("terraform.tfvars", "terraform.tfvars.json") or name.endswith(_VALUE_FILES)


def _declared(text: str, defaults: list[str]) -> Iterator[str]:
    """The variables that a file declares sensitive; their ``defaults`` are added."""
    if "sensitive" not in text and "ephemeral" not in text:
        return
    if text.lstrip().startswith("{"):
        yield from _declared_in_json(text, defaults)
        return
    try:
        for block in items(text):
            if isinstance(block, Block) and block.type == "variable" and block.labels:
                body = [i for i in items(text, block.body) if isinstance(i, Argument)]
                said = {i.name: text[i.value : i.end] for i in body}
                if any(said.get(k, "").startswith("true") for k in ("sensitive", "ephemeral")):
                    defaults += _strings(said.get("default", ""))
                    yield block.labels[0]
    except SyntaxDoubt:
        return


def _declared_in_json(text: str, defaults: list[str]) -> Iterator[str]:
    tree = _tree(text)
    variables = tree.get("variable") if isinstance(tree, dict) else None
    for name, body in variables.items() if isinstance(variables, dict) else ():
        if isinstance(body, dict) and body.get("sensitive") is True:
            defaults += _leaves(body.get("default"))
            yield name


def _assigned(text: str, sensitive: set[str]) -> Iterator[str]:
    """The strings in the values of variables that are sensitive, or are called so."""
    if text.lstrip().startswith("{"):
        tree = _tree(text)
        for name, value in tree.items() if isinstance(tree, dict) else ():
            if name in sensitive or is_secret_name(name):
                yield from _leaves(value)
        return
    try:
        for item in items(text):
            if isinstance(item, Argument) and item.name in sensitive:
                yield from _strings(text[item.value : item.end])
    except SyntaxDoubt:
        return


def _strings(expression: str) -> Iterator[str]:
    """The strings of an expression as they are meant, and the lines of its heredocs."""
    for match in _STRING.finditer(expression):
        try:
            yield json.loads(match.group())
        except ValueError:
            yield match[1]
    if _HEREDOC.search(expression):
        yield from (line.strip() for line in expression.splitlines())


def _tree(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _leaves(tree: Any) -> Iterator[str]:
    left, nodes = [tree], 0
    while left and nodes < _MOST_NODES:
        node = left.pop()
        nodes += 1
        if isinstance(node, str):
            yield node
        elif isinstance(node, dict | list):
            left += node.values() if isinstance(node, dict) else node


def _marked(plan: Mapping[str, Any]) -> Iterator[str]:
    root = (plan.get("configuration") or {}).get("root_module") or {}
    declared = root.get("variables") or {}
    for name, variable in (plan.get("variables") or {}).items():
        if declared.get(name, {}).get("sensitive"):
            yield from _leaves(variable.get("value"))
    for entry in (*(plan.get("resource_changes") or ()), *(plan.get("resource_drift") or ())):
        change = entry.get("change") or {}
        for side in ("before", "after"):
            yield from _under(change.get(side), change.get(f"{side}_sensitive"))


def _under(value: Any, mask: Any) -> Iterator[str]:
    """The strings that ``mask`` covers: it is true, or has the form of the value."""
    left = [(value, mask)]
    while left:
        value, mask = left.pop()
        if mask is True:
            yield from _leaves(value)
        elif isinstance(mask, dict) and isinstance(value, dict):
            left += [(value.get(key), part) for key, part in mask.items()]
        elif isinstance(mask, list) and isinstance(value, list):
            left += zip(value, mask, strict=False)


def _bounded(values: Iterable[str]) -> list[str]:
    found: dict[str, None] = {}
    for value in values:
        if SHORTEST_SECRET <= len(value) <= _LONGEST_VALUE:
            found[value] = None
        if len(found) >= _MOST_VALUES:
            break
    return list(found)
