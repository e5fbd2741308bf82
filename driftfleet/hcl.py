"""Reads what driftfleet asks of a folder's Terraform files; the one module that knows python-hcl2.

Most files are never parsed: `blocks` finds the few arguments that matter, and most of those are
plain strings. python-hcl2 (250 KB a second, and a second to load its grammar) is asked where a
value is no plain string, and about every file that `blocks` doubts.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from driftfleet.blocks import Argument, Block, NestedTooDeep, SyntaxDoubt, items, line_of, with_ends
from driftfleet.implied import USING_BLOCKS, implied_names, names_used
from driftfleet.json_syntax import NotTerraformJson, read_json
from driftfleet.module_facts import (
    BUCKET_KEYS,
    MOST_NAMES,
    Body,
    Gathered,
    HclError,
    ModuleFacts,
    TooManyNames,
    reading_order,
    text_of,
)
from driftfleet.references import references_in

__all__ = [
    "READ_BYTES",
    "TOO_LARGE",
    "Allowance",
    "HclError",
    "ModuleFacts",
    "ModuleReader",
    "is_terraform_file",
    "read_module",
    "reading_order",
]

# What one file may have python-hcl2 do: about a second, four if it is made to be slow.
PARSED_BYTES = 128 * 1024
_MOST_PARSED_VALUES = 1_000
# Beyond this no person wrote it.
READ_BYTES = 2 * 1024 * 1024
TOO_LARGE = f"the file is larger than {READ_BYTES >> 20} MiB and was not read"

_REMARK = r"(?:#|//)[^\n]*+"
_PLAIN = re.compile(rf'"([^"\\\n$%]*+)"[ \t\r]*+(?:{_REMARK})?')
_PAIR = re.compile(rf'{_REMARK}|"?([\w-]++)"?\s*+[=:]\s*+(?:"([^"\\\n$%]*+)"|\[[\w.,\s-]*+\])')
_PLAIN_OBJECT = re.compile(rf"\{{(?:[\s,]++|{_PAIR.pattern}){{0,1000}}\}}[ \t\r]*+(?:{_REMARK})?")
_VERSION = re.compile(
    r"^(?:[^\"#/\n]*[{,])?[ \t]*+(\"?required_version\"?)[ \t]*+[=:]", re.MULTILINE
)
_MOST_VERSIONS = 100
# In python-hcl2's heredoc pattern such a run costs its length squared.
_LONG_SPACE = re.compile(r"\s{1000}")


@dataclass
class Allowance:
    """What reading one repository may cost, all its folders together; it shrinks.

    ``bytes_left`` of Terraform files, ``parsed_bytes_left`` of what python-hcl2 is asked about: a
    commit of a few kilobytes can name one large file by a thousand paths.
    """

    bytes_left: int = 512 * 1024 * 1024
    parsed_bytes_left: int = 2 * 1024 * 1024


class _Unreadable(Exception):
    """``bounded``: a bound of ours is the reason, and terraform may well read it."""

    def __init__(self, line: int, message: str, *, bounded: bool = False) -> None:
        super().__init__(line, message)
        self.line = line
        self.message = message
        self.bounded = bounded


def is_terraform_file(name: str) -> bool:
    """Whether terraform reads a file of that name: not where an editor left it behind."""
    leftover = name.startswith((".", "#")) or name.endswith("~")
    return name.endswith((".tf", ".tf.json")) and not leftover


def read_module(files: Mapping[str, bytes], *, sources_only: bool = False) -> ModuleFacts:
    """Read the files of one folder, by name; see `ModuleReader`."""
    reader = ModuleReader(Allowance(), sources_only=sources_only)
    for name in reading_order(files):
        reader.read(name, files[name])
    return reader.facts()


class ModuleReader:
    """Reads the files of one folder, one after the other in `reading_order`; keeps none.

    ``sources_only`` fills only what `driftfleet.closure` needs, and scans no file that can't hold
    a module call.
    """

    def __init__(self, allowance: Allowance, *, sources_only: bool = False) -> None:
        self._gathered = Gathered()
        self._allowance = allowance
        self._sources_only = sources_only
        self.is_full = False

    def read(self, name: str, content: bytes) -> None:
        """Take a file in; once the reader ``is_full`` the folder has its error, and nothing is."""
        if self.is_full:
            return
        try:
            self._read(name, _decode(content))
        except _Unreadable as error:
            self.refuse(name, error.message, line=error.line, skipped=error.bounded)
        except NotTerraformJson as error:
            self.refuse(name, error.message, line=error.line)
        except TooManyNames:
            self.stop(
                name,
                f"with this file the folder names more than {MOST_NAMES:,} module sources, paths, "
                "providers and kinds of blocks: neither the rest of it nor the files after it are "
                "read",
            )

    def refuse(self, name: str, message: str, *, line: int = 1, skipped: bool = False) -> None:
        """Note why a file is not read; see `ModuleFacts` for ``skipped``."""
        error = HclError(file=text_of(name), line=line, message=message)
        self._gathered.add_error(error, skipped=skipped)

    def stop(self, name: str, message: str) -> None:
        """Read neither this file nor those after it."""
        self.is_full = True
        self.refuse(name, message, skipped=True)

    def facts(self) -> ModuleFacts:
        return self._gathered.facts()

    def _read(self, name: str, text: str) -> None:
        json_text = name.endswith(".json")
        self._gathered.add_references(
            references_in(text.replace('\\"', '"') if json_text else text)
        )
        if self._sources_only and "module" not in text:
            return
        used: set[str] = set()
        if json_text:
            tree = read_json(text)
        else:
            names = None if self._sources_only else used
            tree = _read_native(text, _Parser(self._allowance), names)
        self._gathered.add(tree, name, _lines_of_versions(text))
        if not self._sources_only:
            self._gathered.add_implied(used | implied_names(tree))


def _lines_of_versions(text: str) -> list[int]:
    """For a person who looks for them: in a comment of several lines one may be found, too."""
    found = islice(_VERSION.finditer(text), _MOST_VERSIONS)
    return [line_of(text, match.start(1)) for match in found]


def _decode(content: bytes) -> str:
    if len(content) > READ_BYTES:
        raise _Unreadable(1, TOO_LARGE, bounded=True)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _Unreadable(line, "the file is not UTF-8 text") from error


def _read_native(text: str, parser: "_Parser", used: set[str] | None) -> Body:
    try:
        return _outline(text, parser, used)
    except NestedTooDeep as doubt:
        raise _Unreadable(line_of(text, doubt.offset), doubt.message, bounded=True) from doubt
    except SyntaxDoubt as doubt:
        return parser.parse(text, 1, doubt.message, line_of(text, doubt.offset))


def _outline(text: str, parser: "_Parser", used: set[str] | None) -> Body:
    """The same tree as python-hcl2's, with no more in it than is asked for.

    ``used`` takes the providers of resources: without it only module calls are read.
    """
    tree: Body = {}
    for block, end in with_ends(text):
        found = tree.setdefault(block.type, [{}])
        if used is None and block.type != "module":
            continue
        if read := _READERS.get(block.type):
            found.append(read(text, block, parser))
        elif used is not None and block.type in USING_BLOCKS:
            used.update(names_used(text, block, end))
    return tree


_Reader = Callable[[str, Block, "_Parser"], Body]


def _read_labelled(argument: str) -> _Reader:
    def read(text: str, block: Block, parser: "_Parser") -> Body:
        body = {
            item.name: _value(text, item, parser)
            for item in items(text, block.body)
            if isinstance(item, Argument) and item.name == argument
        }
        return {"".join(block.labels[:1]): body}

    return read


def _read_terraform(text: str, block: Block, parser: "_Parser") -> Body:
    tree: Body = {}
    for item in items(text, block.body):
        if isinstance(item, Argument):
            if item.name == "required_version":
                tree[item.name] = _value(text, item, parser)
        elif item.type == "required_providers":
            arguments = (i for i in items(text, item.body) if isinstance(i, Argument))
            wanted = {i.name: _value(text, i, parser) for i in arguments}
            tree.setdefault(item.type, []).append(wanted)
        elif item.type in ("backend", "cloud"):
            read = _read_labelled(BUCKET_KEYS.get("".join(item.labels[:1]), ""))
            tree.setdefault(item.type, []).append(read(text, item, parser) if item.labels else {})
    return tree


_READERS: Mapping[str, _Reader] = {
    "module": _read_labelled("source"),
    "provider": _read_labelled("version"),
    "terraform": _read_terraform,
}


def _value(text: str, argument: Argument, parser: "_Parser") -> Any:
    written = text[argument.value : argument.end]
    if plain := _PLAIN.fullmatch(written):
        return plain[1]
    if _PLAIN_OBJECT.fullmatch(written):
        return {name: value for name, value in _PAIR.findall(written) if name}
    line = line_of(text, argument.value)
    doubt = "this value is not understood"
    return parser.parse(f"value = {written}", line, doubt, line).get("value")


class _Parser:
    """What one file may have python-hcl2 do, within what its repository may."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._bytes_left = PARSED_BYTES
        self._calls_left = _MOST_PARSED_VALUES

    def parse(self, text: str, first_line: int, doubt: str, doubt_line: int) -> Body:
        """Have python-hcl2 decide; where it too fails the doubt says why better than it does."""
        if len(text) > PARSED_BYTES or _LONG_SPACE.search(text):
            raise _Unreadable(doubt_line, doubt)
        self._calls_left -= 1
        self._bytes_left -= len(text)
        if self._bytes_left < 0 or self._calls_left < 0:
            raise _Unreadable(
                doubt_line,
                f"the file's blocks are not read: more than {_MOST_PARSED_VALUES:,} values, or "
                f"{PARSED_BYTES >> 10} KiB of them, are no plain strings",
                bounded=True,
            )
        self._allowance.parsed_bytes_left -= len(text)
        if self._allowance.parsed_bytes_left < 0:
            raise _Unreadable(
                doubt_line,
                f"{doubt}; a full parser was not asked: it had too much to read in other files",
                bounded=True,
            )
        return _parse(text, first_line, doubt, doubt_line)


def _parse(text: str, first_line: int, doubt: str, doubt_line: int) -> Body:
    """Its messages quote the file, which may hold a secret: they are not passed on."""
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
