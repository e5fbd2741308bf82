"""Why terraform failed: its diagnostics -> an error kind, and a message that says what to do."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from driftfleet.errors import CheckFailed, Phase
from driftfleet.redaction.redactor import Redactor
from driftfleet.results import ErrorKind
from worker.diagnostics import Diagnostic
from worker.failure_rows import CORRECT_THE_CODE, PASSING, TABLE, Row, flat, whole

_LONGEST_DETAIL = 700
_LONGEST_TAIL = 400
_LONGEST_LIST = 10
_MOST_MASKED = 64 << 10
_MARGIN = 16 << 10
_KILLED_EXITS = (-9, 137)
_MISSING_EXITS = (126, 127)

# What terraform appends to explain itself, and is no help to who doesn't sit at that terminal.
_BOILERPLATE = re.compile(
    r" (To see which modules are currently depending on|Version constraints are normally set for"
    r"|The \"backend\" is the interface|Terraform acquires a state lock to protect"
    r"|If you wish to attempt automatic migration|Terraform uses external plugins to integrate).*"
)
_PREAMBLE = re.compile(r"Terraform encountered problems during initiali[sz]ation")


Redact = Callable[[str], str]


def explain(
    phase: Phase,
    diagnostics: Iterable[Diagnostic],
    raw_tail: str,
    exit_code: int,
    redact: Redact = Redactor(),  # noqa: B008 - it never changes
) -> CheckFailed:
    """Say why a terraform command failed.

    ``raw_tail`` is the end of what it printed; it is read where the diagnostics don't tell, and
    is put into the message only where there are none. ``redact`` sees the texts before they are
    cut, or half a secret would stay.
    """
    errors = [d for d in diagnostics if d.severity == "error"]
    # The preamble only announces the others.
    errors = [d for d in errors if not _PREAMBLE.match(d.summary)] or errors
    for row in TABLE:
        for error in errors:
            if row.matches(phase, error):
                return _failed(phase, row, error, errors, redact)
        # Traces of crashed processes stand beside the diagnostics, never in them.
        if row.place == "tail" and phase in row.phases and row.pattern.search(flat(raw_tail)):
            said = _from_tail(raw_tail, row.pattern, errors, redact)
            return _failed(phase, row, said, errors, redact)
    return _unmatched(phase, errors, raw_tail, exit_code, redact)


def _failed(
    phase: Phase, row: Row, error: Diagnostic, errors: Sequence[Diagnostic], redact: Redact
) -> CheckFailed:
    transient = row.transient
    if transient is None:
        transient = PASSING.search(whole(error)) is not None
    same = [e for e in errors if e is not error and row.matches(phase, e)]
    if row.kind is ErrorKind.PROVIDER_MISSING:
        return _missing_provider(phase, row, [error, *same], transient, redact)
    alike = same if row.kind is ErrorKind.VARIABLE_MISSING else []
    named = [_sentence(e, redact) for e in [error, *alike][:_LONGEST_LIST]]
    others = len(errors) - len(named)
    more = f" ({others} more error{'s' if others > 1 else ''})" if others > 0 else ""
    return _result(phase, row.kind, " ".join(named) + more, row.advice, transient)


def _unmatched(
    phase: Phase, errors: Sequence[Diagnostic], raw_tail: str, exit_code: int, redact: Redact
) -> CheckFailed:
    if errors:
        error = errors[0]
        passing = any(PASSING.search(whole(e)) for e in errors)
        if phase == "init" and error.file and error.line:
            return _result(phase, ErrorKind.HCL, _sentence(error, redact), CORRECT_THE_CODE, False)
        advice = "" if not passing else "It may pass by itself."
        return _result(phase, _FALLBACKS[phase], _sentence(error, redact), advice, passing)
    if exit_code in _KILLED_EXITS:
        text = "terraform was killed (SIGKILL); where nobody did, the kernel ran out of memory."
        return _result(phase, ErrorKind.KILLED, text, "Look at the worker's memory.", True)
    if exit_code in _MISSING_EXITS:
        text = f"terraform could not be started (exit code {exit_code})."
        advice = "Install it, or name it in `worker.terraform`."
        return _result(phase, ErrorKind.TERRAFORM_MISSING, text, advice, False)
    tail = flat(redact(raw_tail))[-_LONGEST_TAIL:]
    text = f"it ended with exit code {exit_code}" + (
        f" and said: {tail}" if tail else ", silently."
    )
    return _result(phase, _FALLBACKS[phase], text, "", PASSING.search(tail) is not None)


_FALLBACKS: dict[Phase, ErrorKind] = {
    "source": ErrorKind.INTERNAL,
    "version": ErrorKind.VERSION,
    "init": ErrorKind.INIT_FAILED,
    "plan": ErrorKind.PLAN_FAILED,
    "show": ErrorKind.PLAN_UNREADABLE,
    "store": ErrorKind.INTERNAL,
}


def _result(phase: Phase, kind: ErrorKind, text: str, advice: str, transient: bool) -> CheckFailed:
    message = f"terraform {phase} failed: {text} {advice}".strip()
    return CheckFailed(phase, kind, _without_passwords(message), transient=transient)


# "provider registry.terraform.io/x/y was not found", "... for provider hashicorp/aws: no available"
_PROVIDER = re.compile(
    r"(?:provider|installing|-) (?P<source>(?:[\w.-]+\.[\w-]+(?::\d+)?/)?[\w-]+/[\w-]+)\b"
)
_VERSION = re.compile(
    r"previously-selected version (?P<locked>\S+) is"
    r"|match the given constraints? (?P<constraint>[^;\n]+?)(?:$| To see)"
    r"|installing \S+ v(?P<installing>\d\S*?):"
)


def _missing_provider(
    phase: Phase, row: Row, errors: Sequence[Diagnostic], transient: bool, redact: Redact
) -> CheckFailed:
    wanted = dict.fromkeys(w for e in errors for w in _wanted_providers(whole(e)))
    if not wanted:
        return _result(phase, row.kind, _sentence(errors[0], redact), row.advice, transient)
    shown = list(wanted)[:_LONGEST_LIST]
    text = "; ".join(f"provider {source} {version}" for source, version in shown)
    places = ", ".join(f"MIRROR/{s}/{_folder(v)}/OS_ARCH/" for s, v in shown)
    why = _sentence(errors[0], redact)
    advice = (
        f"The mirror is to have {'them' if len(shown) > 1 else 'it'} in {places} (OS_ARCH is such "
        "as linux_amd64; MIRROR is the folder that --mirror or worker.mirror names: see "
        "docs/mirror.md). `driftfleet mirror sync` brings it there."
    )
    return _result(phase, row.kind, f"not available: {text}. {why}", advice, transient)


def _wanted_providers(text: str) -> Iterator[tuple[str, str]]:
    match = _VERSION.search(text)
    version = "(any version)"
    if match and (exact := match["locked"] or match["installing"]):
        version = exact
    elif match:
        version = f"({match['constraint'].strip()})"
    sources = {_full_source(m["source"]) for m in _PROVIDER.finditer(text)}
    for source in sorted(sources):
        yield source, version


def _full_source(source: str) -> str:
    return source if source.count("/") == 2 else f"registry.terraform.io/{source}"


def _folder(version: str) -> str:
    return "VERSION" if version.startswith("(") else version


def _sentence(error: Diagnostic, redact: Redact) -> str:
    """``main.tf:3 (aws_x.y): Summary: detail.``"""
    place = f"{error.file}:{error.line}" if error.file and error.line else (error.file or "")
    where = " ".join(p for p in (place, f"({error.address})" if error.address else "") if p)
    detail = _shorten(_BOILERPLATE.sub("", flat(_masked(error.detail, redact))), _LONGEST_DETAIL)
    text = _shorten(flat(_masked(error.summary, redact)), _LONGEST_DETAIL)
    if detail:
        text = f"{text.rstrip('.:')}: {detail}"
    if not text.endswith((".", "!", "?")):
        text += "."
    return f"{where}: {text}" if where else text


def _masked(text: str, redact: Redact) -> str:
    """A text as far as it may be shown: a provider may print as much as a worker reads.

    The secret that the cut runs through goes with the margin.
    """
    if len(text) <= _MOST_MASKED:
        return redact(text)
    return redact(text[:_MOST_MASKED])[:-_MARGIN]


def _from_tail(
    raw_tail: str, pattern: re.Pattern[str], errors: Sequence[Diagnostic], redact: Redact
) -> Diagnostic:
    lines = [line for line in raw_tail.splitlines() if pattern.search(line)]
    text = flat(_said(lines[0]) if lines else redact(raw_tail)[-_LONGEST_TAIL:])
    place = errors[0] if errors else Diagnostic("error", "")
    return Diagnostic("error", text, "", place.file, place.line, place.address)


def _said(line: str) -> str:
    """What a line says to people: those of ``plan -json`` have it in a field."""
    try:
        message = json.loads(line)["@message"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return line
    return message if isinstance(message, str) else line


def _shorten(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3].rstrip()}..."


def _without_passwords(text: str) -> str:
    """Module sources and backends may hold a password: ``https://user:password@host``."""
    return re.sub(r"(?<=://)[^/\s@]+(?=@)", "***", text)
