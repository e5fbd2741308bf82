"""The verdict: plan messages and plan JSON -> what drifted, what was never applied (pure).

docs/verdicts.md tells the rules for people, each with the recorded plan that shows it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from driftfleet.errors import CheckFailed
from driftfleet.results import Change, ErrorKind, Summary, Verdict
from worker.causes import OWN_REASONS, Causes, Key
from worker.diagnostics import PlanMessages
from worker.effects import Effect, meet
from worker.noise import Difference, same
from worker.plan_json import Entry, Output, Plan, read_plan, unreadable
from worker.references import References

_CLEAN_EXIT, _CHANGES_EXIT = 0, 2
# Notes are for people: past this many addresses nobody reads on.
_ADDRESSES_IN_A_NOTE = 20


@dataclass(frozen=True)
class Judgement:
    """What a plan says. ``notes`` are sentences about what is worth knowing and no change."""

    verdict: Verdict
    changes: tuple[Change, ...] = ()
    summary: Summary = field(default_factory=Summary)
    notes: tuple[str, ...] = ()


def judge(exit_code: int, messages: PlanMessages, plan: Mapping[str, Any] | None) -> Judgement:
    """Judge a plan by its exit code, its messages and ``terraform show -json`` of its file.

    ``plan`` may be None only where the exit code was 0 and no message told of drift.

    Raises
    ------
    CheckFailed
        The plan is incomplete, of an unknown format, or contradicts itself.
    """
    if exit_code not in (_CLEAN_EXIT, _CHANGES_EXIT):
        message = f"terraform plan ended with exit code {exit_code}, which is no verdict."
        raise CheckFailed("plan", ErrorKind.PLAN_FAILED, message)
    if plan is None:
        if exit_code == _CHANGES_EXIT or messages.drift_addresses:
            unreadable("terraform reported changes or drift, and the plan's JSON is missing.")
        return Judgement(Verdict.CLEAN)
    try:
        read = read_plan(plan)
        _check_exit_code(exit_code, read)
        return _Case(read).judge()
    except RecursionError:
        unreadable("its values are nested too deeply.")


def _check_exit_code(exit_code: int, plan: Plan) -> None:
    """An exit code that the plan's JSON does not bear out means that one of them was misread."""
    changed = [e.address for e in plan.changes if e.actions != ("no-op",) and e.mode == "managed"]
    changed += [f"output.{o.name}" for o in plan.outputs if o.actions != ("no-op",)]
    if exit_code == _CLEAN_EXIT and changed:
        unreadable(f"terraform said that nothing changes, but the plan changes {changed[0]}.")
    quiet = any(e.moved or e.imported or e.mode == "data" for e in plan.changes)
    if exit_code == _CHANGES_EXIT and not changed and not quiet:
        unreadable("terraform said that something changes, but the plan changes nothing.")


class _Case:
    """One plan while it is judged."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._drifts = {e.key: e for e in plan.drifts if _is_drift(e)}
        self._pending = {e.key: e for e in plan.changes if _is_pending(e)}
        self._effects = {k: meet(d, self._pending.get(k)) for k, d in self._drifts.items()}
        self._causes = Causes(plan, References(plan.configuration))
        self._mattering: set[Key] = set()
        self._changes: list[Change] = []
        self._follows: list[str] = []
        self._unapplied_output = False

    def judge(self) -> Judgement:
        self._note_causes()
        own = self._explain_changes()
        for key, effect in self._effects.items():
            if effect.is_undone:
                own[key] = self._judge_undone(key, effect)
        for key, names in own.items():
            if names is not None:
                self._add_unapplied(key, names)
        self._judge_lasting()
        for output in self._plan.outputs:
            if output.actions != ("no-op",):
                self._judge_output(output)
        return self._conclude()

    def _note_causes(self) -> None:
        """Every cause must be known before the first effect is looked at."""
        for key, effect in self._effects.items():
            self._causes.add_lasting(self._drifts[key], effect.lasting)
            if effect.is_undone:
                self._causes.add_open(self._drifts[key].place)
        self._causes.settle()

    def _explain_changes(self) -> dict[Key, list[str] | None]:
        """What the code asks for where nothing is undone, with the attributes."""
        waiting = {
            key: change
            for key, change in self._pending.items()
            if key not in self._effects or not self._effects[key].is_undone
        }
        own: dict[Key, list[str] | None] = {}
        # Explaining one change may explain the next one: a chain of n takes n rounds.
        before = -1
        while before != len(waiting):
            before = len(waiting)
            for key, change in list(waiting.items()):
                own[key] = self._explain(change)
                if own[key] is None:
                    del waiting[key]
        return own

    def _explain(self, change: Entry) -> list[str] | None:
        """The attributes that the code changes; None where the change isn't the code's."""
        if change.actions in (("update",), ("no-op",)) and not change.differences:
            return self._judge_faint(change)
        if change.actions == ("forget",):
            return []
        caused, own = self._causes.explain(change)
        if caused is None:
            return own
        self._mattering |= caused.owners
        if change.moved or change.imported:
            return []
        self._follows.append(change.address)
        return None

    def _judge_faint(self, change: Entry) -> list[str] | None:
        """An update in noise or in sensitivity only is the code's, unless it undoes noise."""
        noise = next((d for d in self._plan.drifts if d.key == change.key), None)
        names = change.faint_differences
        if noise is not None:
            names -= {
                n
                for n in noise.faint_differences
                if same(noise.before.get(n), change.wanted.get(n))
                and same(noise.wanted.get(n), change.before.get(n))
            }
        ours = names or change.moved or change.imported
        return sorted(names) if ours else None

    def _judge_undone(self, key: Key, effect: Effect) -> list[str] | None:
        """Add the drift; returns what the code changes besides, None where nothing."""
        drift, change = self._drifts[key], self._pending[key]
        self._add_drift(key, effect.undone)
        own = []
        for name in sorted(effect.changed):
            before, wanted = drift.before.get(name), change.wanted.get(name)
            caused = self._causes.attribute(change.place, name, before, wanted)
            if caused is None:
                own.append(name)
            else:
                self._mattering |= caused.owners
        by_itself = change.moved or change.imported or change.reason in OWN_REASONS
        return own if own or by_itself else None

    def _judge_lasting(self) -> None:
        """What nobody undoes is drift only where something else would change with it."""
        for key in sorted(self._mattering):
            if not self._effects[key].is_undone:
                self._add_drift(key, self._effects[key].lasting)

    def _judge_output(self, output: Output) -> None:
        address = f"output.{output.name}"
        self._changes.append(Change(address=address, kind="output", actions=output.actions))
        explained = (
            output.actions != ("create",)
            and output.difference is not Difference.SAME
            and self._causes.output(output.name, output.before, output.wanted) is not None
        )
        if not explained:
            self._unapplied_output = True

    def _add_unapplied(self, key: Key, names: Iterable[str]) -> None:
        change = self._pending[key]
        actions = [a for a in change.actions if a != "no-op"]
        effect = self._effects.get(key)
        if effect is not None and effect.is_undone and not names and change.moved:
            # The rest of what is planned only undoes the drift.
            actions = []
        prefix = ["import"] * change.imported + ["move"] * change.moved
        self._changes.append(_change(change, "unapplied", [*prefix, *actions], names))

    def _add_drift(self, key: Key, names: Iterable[str]) -> None:
        drift = self._drifts[key]
        self._changes.append(_change(drift, "drift", drift.actions, names))

    def _conclude(self) -> Judgement:
        kinds = Counter(change.kind for change in self._changes)
        unapplied = bool(kinds["unapplied"]) or self._unapplied_output
        return Judgement(
            verdict=_VERDICTS[bool(kinds["drift"]), unapplied],
            changes=tuple(sorted(self._changes, key=lambda c: (c.address, c.kind))),
            summary=_summary(self._plan, kinds["drift"], kinds["output"]),
            notes=tuple(self._notes()),
        )

    def _notes(self) -> Iterator[str]:
        drifts = [
            (self._drifts[k], e) for k, e in self._effects.items() if k not in self._mattering
        ]
        agreed = [_titled(d) for d, e in drifts if not e.is_undone and not e.doomed]
        doomed = [d.address for d, e in drifts if e.doomed]
        if agreed:
            yield f"Changed outside Terraform, and the code asks for nothing else: {_list(agreed)}"
        if doomed:
            yield f"Changed outside Terraform, and the code removes it anyway: {_list(doomed)}"
        if self._follows:
            yield f"Would change only because of the drift: {_list(sorted(self._follows))}"


def _change(
    entry: Entry, kind: Literal["drift", "unapplied"], actions: Iterable[str], names: Iterable[str]
) -> Change:
    label = f" (deposed {entry.deposed})" if entry.deposed else ""
    return Change(
        address=entry.address + label,
        module=entry.module,
        type=entry.type,
        provider=entry.provider,
        kind=kind,
        actions=tuple(actions),
        attributes=tuple(sorted(names)),
    )


_VERDICTS = {
    (False, False): Verdict.CLEAN,
    (True, False): Verdict.DRIFTED,
    (False, True): Verdict.UNAPPLIED,
    (True, True): Verdict.DRIFTED_UNAPPLIED,
}


def _is_drift(entry: Entry) -> bool:
    if entry.actions == ("no-op",):
        return False
    return "delete" in entry.actions or bool(entry.differences)


def _is_pending(entry: Entry) -> bool:
    changes = entry.actions != ("no-op",) or entry.moved or entry.imported
    return changes and entry.mode == "managed"


def _summary(plan: Plan, drifted: int, outputs: int) -> Summary:
    actions = Counter(a for e in plan.changes if e.mode == "managed" for a in e.actions)
    noise = [e for e in plan.drifts if e.actions != ("no-op",) and not _is_drift(e)]
    return Summary(
        add=actions["create"],
        change=actions["update"],
        destroy=actions["delete"],
        drifted=drifted,
        outputs=outputs,
        suppressed=len(noise),
    )


def _titled(drift: Entry) -> str:
    what = "deleted" if "delete" in drift.actions else ", ".join(sorted(drift.differences))
    return f"{drift.address} ({what})" if what else drift.address


def _list(addresses: list[str]) -> str:
    shown = ", ".join(addresses[:_ADDRESSES_IN_A_NOTE])
    more = len(addresses) - _ADDRESSES_IN_A_NOTE
    return f"{shown} and {more} more." if more > 0 else f"{shown}."
