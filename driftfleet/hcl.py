"""Reads what driftfleet asks of a folder's Terraform files; the one module that knows python-hcl2.

Most files are never parsed: `blocks` finds the few arguments that matter, and most of those are
plain strings. python-hcl2 (250 KB a second, and a second to load its grammar) is asked where a
value is no plain string, and about every file that `blocks` doubts.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from driftfleet.blocks import Argument, Block, SyntaxDoubt, items, line_of
from driftfleet.model import Record
from driftfleet.references import Reference, references_in

# What one file may have python-hcl2 do: about a second.
PARSED_BYTES = 256 * 1024
# Beyond this no person wrote it.
READ_BYTES = 16 * 1024 * 1024

_LOCAL = ("./", "../")
_REMARK = r"(?:#|//)[^\n]*+"
_PLAIN = re.compile(rf'"([^"\\\n$%]*+)"[ \t\r]*+(?:{_REMARK})?')
_PAIR = re.compile(rf'{_REMARK}|"?([\w-]++)"?\s*+[=:]\s*+(?:"([^"\\\n$%]*+)"|\[[\w.,\s-]*+\])')
_PLAIN_OBJECT = re.compile(rf"\{{(?:[\s,]++|{_PAIR.pattern})*\}}[ \t\r]*+(?:{_REMARK})?")
# In python-hcl2's heredoc pattern such a run costs its length squared.
_LONG_SPACE = re.compile(r"\s{1000}")

Body = dict[str, Any]


class HclError(Record):
    """Why a file can't be read: ``file`` is its name in its folder, ``line`` counts from 1."""

    file: str
    line: int
    message: str


@dataclass(frozen=True)
class ModuleFacts:
    """What one folder's files say.

    ``local_sources`` are as written, and may hold an interpolation. ``providers`` maps a source
    (where there is none, the local name) to a constraint, ``""`` where there is none. ``declares``
    are the types of the top-level blocks. ``errors`` hide nothing: the other files are read.
    """

    local_sources: tuple[str, ...] = ()
    remote_sources: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    required_version: tuple[str, ...] = ()
    providers: Mapping[str, str] | None = None
    backend: str | None = None
    declares: frozenset[str] = frozenset()
    errors: tuple[HclError, ...] = ()


class _Unreadable(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(line, message)
        self.line = line
        self.message = message


def is_terraform_file(name: str) -> bool:
    """Whether terraform reads a file of that name: not where an editor left it behind."""
    leftover = name.startswith((".", "#")) or name.endswith("~")
    return name.endswith((".tf", ".tf.json")) and not leftover


def read_module(files: Mapping[str, bytes], *, sources_only: bool = False) -> ModuleFacts:
    """Read the files of one folder, by name.

    ``sources_only`` fills only what `driftfleet.closure` needs, and scans no file that can't hold
    a module call. Override files come last, as in terraform, so that theirs is the backend.
    """
    trees: list[Body] = []
    references: dict[Reference, None] = {}
    errors: list[HclError] = []
    for name in sorted(files, key=_override_last):
        try:
            text = _decode(files[name])
            unescaped = text.replace('\\"', '"') if name.endswith(".json") else text
            references.update(dict.fromkeys(references_in(unescaped)))
            if not sources_only or "module" in text:
                trees.append(_read_file(name, text, sources_only=sources_only))
        except _Unreadable as error:
            errors.append(HclError(file=_text(name), line=error.line, message=error.message))
    return _facts(trees, references, errors)


def _override_last(name: str) -> tuple[bool, str]:
    stem = name.partition(".")[0]
    return stem == "override" or stem.endswith("_override"), name


def _decode(content: bytes) -> str:
    if len(content) > READ_BYTES:
        raise _Unreadable(1, f"the file is larger than {READ_BYTES >> 20} MiB and was not read")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _Unreadable(line, "the file is not UTF-8 text") from error


def _read_file(name: str, text: str, *, sources_only: bool) -> Body:
    if name.endswith(".json"):
        return _read_json(text)
    try:
        return _outline(text, sources_only=sources_only)
    except SyntaxDoubt as doubt:
        return _parse(text, 1, doubt.message, line_of(text, doubt.offset))


# --- JSON -------------------------------------------------------------------------------------


def _read_json(text: str) -> Body:
    try:
        tree = json.loads(text, object_pairs_hook=_join_repeated)
    except json.JSONDecodeError as error:
        raise _Unreadable(error.lineno, f"not JSON: {error.msg}") from error
    except (RecursionError, ValueError) as error:
        raise _Unreadable(1, "the file is nested too deeply, or holds a number too long") from error
    if not isinstance(tree, dict):
        raise _Unreadable(1, "the file must hold a JSON object")
    return tree


def _join_repeated(pairs: list[tuple[str, Any]]) -> Body:
    """A repeated key is a repeated block: terraform reads them all, `dict` only the last."""
    tree: Body = {}
    for key, value in pairs:
        if key in tree:
            tree[key] = [*_bodies(tree[key]), *_bodies(value)] or value
        elif key != "//":
            tree[key] = value
    return tree


# --- the native syntax ------------------------------------------------------------------------


def _outline(text: str, *, sources_only: bool) -> Body:
    """The same tree as python-hcl2's, with no more in it than is asked for."""
    tree: Body = {}
    for item in items(text):
        if isinstance(item, Argument):
            continue
        read = _READERS.get(item.type)
        wanted = read and (item.type == "module" or not sources_only)
        tree.setdefault(item.type, []).append(read(text, item) if read and wanted else {})
    return tree


def _read_labelled(argument: str) -> Callable[[str, Block], Body]:
    def read(text: str, block: Block) -> Body:
        body = {
            item.name: _value(text, item)
            for item in items(text, block.body)
            if isinstance(item, Argument) and item.name == argument
        }
        return {"".join(block.labels[:1]): body}

    return read


def _read_terraform(text: str, block: Block) -> Body:
    tree: Body = {}
    for item in items(text, block.body):
        if isinstance(item, Argument):
            if item.name == "required_version":
                tree[item.name] = _value(text, item)
        elif item.type == "required_providers":
            arguments = (i for i in items(text, item.body) if isinstance(i, Argument))
            tree.setdefault(item.type, []).append({i.name: _value(text, i) for i in arguments})
        elif item.type in ("backend", "cloud"):
            tree.setdefault(item.type, []).append({label: {} for label in item.labels[:1]})
    return tree


_READERS: Mapping[str, Callable[[str, Block], Body]] = {
    "module": _read_labelled("source"),
    "provider": _read_labelled("version"),
    "terraform": _read_terraform,
}


def _value(text: str, argument: Argument) -> Any:
    written = text[argument.value : argument.end]
    if plain := _PLAIN.fullmatch(written):
        return plain[1]
    if _PLAIN_OBJECT.fullmatch(written):
        return {name: value for name, value in _PAIR.findall(written) if name}
    line = line_of(text, argument.value)
    return _parse(f"value = {written}", line, "this value is not understood", line).get("value")


def _parse(text: str, first_line: int, doubt: str, doubt_line: int) -> Body:
    """Have python-hcl2 decide; where it too fails the doubt says why better than it does.

    Its messages quote the file, which may hold a secret: they are not passed on.
    """
    if len(text) > PARSED_BYTES or _LONG_SPACE.search(text):
        raise _Unreadable(doubt_line, doubt)
    # Imported here since most runs never come here, and its grammar takes a second to load.
    import hcl2  # noqa: PLC0415
    from hcl2.utils import SerializationOptions  # noqa: PLC0415
    from lark.exceptions import UnexpectedInput  # noqa: PLC0415

    options = SerializationOptions(
        with_comments=False, explicit_blocks=False, strip_string_quotes=True
    )
    try:
        return dict(hcl2.loads(text, serialization_options=options))
    except UnexpectedInput as error:
        # At the end of the file it can't know what was left open; the doubt does.
        at_end = getattr(getattr(error, "token", None), "type", "") == "$END"
        known = not at_end and error.line > 0
        line = first_line + error.line - 1 if known else doubt_line
        message = doubt if line == doubt_line else "this is not valid HCL"
        raise _Unreadable(line, message) from error
    except Exception as error:
        # Its serializer raises whatever it trips over; nothing of it may end a discovery.
        raise _Unreadable(doubt_line, doubt) from error


# --- from trees to facts ----------------------------------------------------------------------


def _facts(
    trees: list[Body], references: Iterable[Reference], errors: list[HclError]
) -> ModuleFacts:
    terraform = [body for tree in trees for body in _bodies(tree.get("terraform"))]
    # By name: what an override file says stands last, and replaces what it overrides.
    called = {
        name: source
        for tree in trees
        for name, body in _labelled(tree.get("module"))
        if (source := _text(body.get("source")))
    }
    sources = dict.fromkeys(called.values())
    local = tuple(source for source in sources if source.startswith(_LOCAL))
    return ModuleFacts(
        local_sources=local,
        remote_sources=tuple(source for source in sources if not source.startswith(_LOCAL)),
        references=tuple(r for r in references if r.written not in local),
        required_version=tuple(
            dict.fromkeys(v for body in terraform if (v := _text(body.get("required_version"))))
        ),
        providers=_providers(terraform, trees),
        backend=_backend(terraform),
        declares=frozenset(key for tree in trees for key, value in tree.items() if value),
        errors=tuple(errors),
    )


def _providers(terraform: list[Body], trees: list[Body]) -> dict[str, str]:
    named: set[str] = set()
    constraints: dict[str, str] = {}
    for body in terraform:
        for name, wanted in _labelled(body.get("required_providers"), bare=True):
            named.add(name)
            source = _text(wanted.get("source")) or name
            constraints[source] = _text(wanted.get("version"))
    # Before Terraform 0.13 the constraint stood in the provider's own block.
    for tree in trees:
        for name, body in _labelled(tree.get("provider")):
            if name not in named:
                constraints[name] = constraints.get(name) or _text(body.get("version"))
    return dict(sorted(constraints.items()))


def _backend(terraform: list[Body]) -> str | None:
    kind = None
    for body in terraform:
        if "cloud" in body:
            kind = "cloud"
        for label, _ in _labelled(body.get("backend")):
            kind = label
    return kind


def _bodies(value: Any) -> Iterator[Body]:
    """One block may be an object, several are a list of them; all else is no block."""
    for body in value if isinstance(value, list) else [value]:
        if isinstance(body, dict):
            yield body


def _labelled(value: Any, *, bare: bool = False) -> Iterator[tuple[str, Body]]:
    """(label, body) of each block; with ``bare`` a lone string counts as its ``version``."""
    for labels in _bodies(value):
        for label, inner in labels.items():
            if bare and isinstance(inner, str):
                yield _text(label), {"version": inner}
            for body in _bodies(inner):
                yield _text(label), body


def _text(value: Any) -> str:
    """A string that can be stored: JSON escapes and file names can hold half a character."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else ""
