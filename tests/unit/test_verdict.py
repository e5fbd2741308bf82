"""The verdict, against recorded plans of the real terraform and against made-up ones."""

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.errors import CheckFailed
from driftfleet.results import Verdict
from worker.diagnostics import PlanMessages, parse_messages
from worker.noise import UNKNOWN, Difference, Merge, difference, merge, overlay, strip
from worker.verdict import Judgement, judge

PLANS = Path(__file__).with_name("recordings") / "plans"
DOCS = Path(__file__).parents[2] / "docs" / "verdicts.md"
MAIN = "aws_cloudwatch_log_group.main"
FIRST = "aws_ssm_parameter.first"
DEEP = "module.outer.module.inner[0].aws_cloudwatch_log_group.deep"
PASSED_ON = f"drift {FIRST} update insecure_value,version"
DAYS = f"drift {MAIN} update retention_in_days"
NEW_DAYS = f"unapplied {MAIN} update retention_in_days"

# What must be said of each recorded plan: "KIND ADDRESS ACTIONS ATTRIBUTES".
EXPECTED: dict[str, tuple[str, list[str]]] = {
    "no_change": ("clean", []),
    "noise_only": ("clean", []),
    "read_only_later": ("clean", []),
    "code_changed": ("unapplied", [NEW_DAYS]),
    "changed_outside": ("drifted", [DAYS]),
    "tags_changed_outside": ("drifted", [f"drift {MAIN} update tags,tags_all"]),
    "drift_sensitive": ("drifted", [f"drift {FIRST} update value"]),
    "policy_changed_outside": ("drifted", ["drift aws_iam_role_policy.p update policy"]),
    "code_agrees": ("clean", []),
    "code_agrees_output": ("clean", ["output output.days update"]),
    "drift_ignored": ("clean", []),
    "output_computed_from_drift": ("clean", ["output output.double update"]),
    "third_value": ("drifted_unapplied", [DAYS, NEW_DAYS]),
    "drift_and_other_attribute": (
        "drifted_unapplied",
        [DAYS, f"unapplied {MAIN} update tags,tags_all"],
    ),
    "agreed_and_other_attribute": ("unapplied", [f"unapplied {MAIN} update tags,tags_all"]),
    "tags_agreed_and_added": ("unapplied", [f"unapplied {MAIN} update tags,tags_all"]),
    "tags_drift_and_added": (
        "drifted_unapplied",
        [f"drift {MAIN} update tags,tags_all", f"unapplied {MAIN} update tags,tags_all"],
    ),
    "computed_drift_code_changed": ("unapplied", [f"unapplied {FIRST} update insecure_value"]),
    "deleted_outside": (
        "drifted",
        [f"drift {MAIN} delete", "drift aws_cloudwatch_log_stream.s delete"],
    ),
    "deleted_outside_dependents": (
        "drifted",
        ["drift aws_sns_topic.t delete", "drift aws_sns_topic_subscription.s delete"],
    ),
    "deleted_outside_role": (
        "drifted",
        ["drift aws_iam_role.r delete", "drift aws_iam_role_policy.p delete"],
    ),
    "deleted_outside_unknown_dependent": (
        "drifted",
        [
            "drift aws_sns_topic.t delete",
            "drift aws_sns_topic_subscription.s delete",
            "output output.t update",
        ],
    ),
    "deleted_outside_code_changed": (
        "drifted_unapplied",
        [f"drift {MAIN} delete", f"unapplied {MAIN} create retention_in_days"],
    ),
    "deleted_outside_code_removed": ("clean", []),
    "changed_outside_code_removed": ("unapplied", [f"unapplied {MAIN} delete"]),
    "drift_passes_on": ("drifted", [PASSED_ON]),
    "drift_passes_on_in_a_text": ("drifted", [PASSED_ON]),
    "drift_passes_on_by_local": ("drifted", [PASSED_ON, "output output.v update"]),
    "drift_passes_through_module": ("drifted", [PASSED_ON]),
    "drift_decides_count_up": ("drifted", [PASSED_ON]),
    "drift_decides_count_down": ("drifted", [PASSED_ON]),
    "drift_undone_with_unknown_dependent": ("drifted", [f"drift {FIRST} update insecure_value"]),
    "local_changed_beside_drift": (
        "drifted_unapplied",
        [f"unapplied {MAIN} update tags,tags_all", PASSED_ON],
    ),
    "drift_and_code_chain": (
        "drifted_unapplied",
        [f"drift {FIRST} update insecure_value", "unapplied terraform_data.x update input"],
    ),
    "drift_unrelated_to_code": (
        "drifted_unapplied",
        ["unapplied aws_cloudwatch_log_group.b update retention_in_days", DAYS],
    ),
    "drift_unrelated_to_clock": (
        "drifted_unapplied",
        [DAYS, "unapplied terraform_data.clock update input"],
    ),
    "removed_and_drift_elsewhere": (
        "drifted_unapplied",
        [DAYS, "unapplied terraform_data.b delete"],
    ),
    "drift_in_count_and_each": (
        "drifted",
        [
            'drift aws_cloudwatch_log_group.e["b"] update retention_in_days',
            "drift aws_cloudwatch_log_group.main[1] update retention_in_days",
        ],
    ),
    "drift_in_modules": ("drifted", [f"drift {DEEP} update retention_in_days"]),
    "drift_in_modules_code_agrees": ("clean", ["output output.copied update"]),
    "data_reads_drift": ("drifted", [DAYS]),
    "replace_triggered_by_drift": ("drifted", [DAYS]),
    "replaced_by_code": ("unapplied", [f"unapplied {MAIN} delete+create name"]),
    "replaced_before_destroy": ("unapplied", [f"unapplied {MAIN} create+delete name"]),
    "replaced_by_code_and_drifted": (
        "drifted_unapplied",
        [DAYS, f"unapplied {MAIN} delete+create name"],
    ),
    "tainted": ("unapplied", ["unapplied terraform_data.a delete+create"]),
    "tainted_beside_drift": (
        "drifted_unapplied",
        [DAYS, "unapplied terraform_data.a delete+create"],
    ),
    "moved": ("unapplied", ["unapplied terraform_data.b move"]),
    "moved_and_drifted": (
        "drifted_unapplied",
        [
            "drift aws_cloudwatch_log_group.b update retention_in_days",
            "unapplied aws_cloudwatch_log_group.b move",
        ],
    ),
    "imported": ("unapplied", [f"unapplied {MAIN} import"]),
    "imported_and_changed": ("unapplied", [f"unapplied {MAIN} import+update retention_in_days"]),
    "forgotten": ("unapplied", ["unapplied terraform_data.a forget"]),
    "created_by_code": ("unapplied", ["unapplied terraform_data.b create"]),
    "removed_from_code": ("unapplied", ["unapplied terraform_data.b delete"]),
    "count_reduced": (
        "unapplied",
        ["unapplied terraform_data.a[1] delete", "unapplied terraform_data.a[2] delete"],
    ),
    "sensitivity_changed": ("unapplied", ["unapplied terraform_data.a update input"]),
    "output_added": ("unapplied", ["output output.o create"]),
    "output_changed": ("unapplied", ["output output.o update"]),
    "output_removed": ("unapplied", ["output output.o delete"]),
    "output_sensitive_now": ("unapplied", ["output output.o update"]),
}


def recorded(name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((PLANS / f"{name}.json").read_text())
    return record


def messages_of(record: dict[str, Any]) -> PlanMessages:
    return parse_messages("\n".join(map(json.dumps, record["messages"])).encode())


def judge_record(record: dict[str, Any]) -> Judgement:
    return judge(record["exit_code"], messages_of(record), record["plan"])


def told(judgement: Judgement) -> list[str]:
    return [
        f"{c.kind} {c.address} {'+'.join(c.actions)} {','.join(c.attributes)}".strip()
        for c in judgement.changes
    ]


def change(address: str, actions: str, before: Any, after: Any, **more: Any) -> dict[str, Any]:
    """One element of ``resource_changes`` or ``resource_drift``."""
    unknown = more.pop("unknown", {})
    body = {"actions": actions.split(), "before": before, "after": after, "after_unknown": unknown}
    return {"address": address, "mode": "managed", "change": body, **more}


def plan(*, drift: Any = (), changes: Any = (), **more: Any) -> dict[str, Any]:
    return {
        "format_version": "1.2",
        "terraform_version": "1.11.4",
        "resource_drift": list(drift),
        "resource_changes": list(changes),
        **more,
    }


def judged(made: dict[str, Any], exit_code: int = 2) -> Judgement:
    return judge(exit_code, PlanMessages(), made)


class TestRecordedPlans:
    def test_every_recording_has_its_expectation(self) -> None:
        assert {path.stem for path in PLANS.glob("*.json")} == set(EXPECTED)

    def test_every_recording_is_shown_in_the_document(self) -> None:
        text = DOCS.read_text()
        assert [name for name in EXPECTED if f"`{name}`" not in text] == []

    @pytest.mark.parametrize("name", EXPECTED)
    def test_it_is_judged_with_its_addresses(self, name: str) -> None:
        judgement = judge_record(recorded(name))
        verdict, changes = EXPECTED[name]
        assert (judgement.verdict, sorted(told(judgement))) == (verdict, sorted(changes))

    @pytest.mark.parametrize("name", EXPECTED)
    def test_the_summary_counts_what_terraform_counts(self, name: str) -> None:
        record = recorded(name)
        summary = judge_record(record).summary
        counts = [m["changes"] for m in record["messages"] if m["type"] == "change_summary"]
        if record["exit_code"] == 2 and counts:
            theirs = counts[-1]
            ours = (summary.add, summary.change, summary.destroy)
            assert ours == (theirs["add"], theirs["change"], theirs["remove"])
        drifts = [line for line in EXPECTED[name][1] if line.startswith("drift ")]
        assert summary.drifted == len(drifts)

    @pytest.mark.parametrize("name", EXPECTED)
    def test_no_value_of_an_attribute_is_in_what_is_said(self, name: str) -> None:
        judgement = judge_record(recorded(name))
        said = " ".join([*told(judgement), *judgement.notes])
        assert not any(value in said for value in ("/days", '"one"', "arn:aws", "2012-10-17"))

    @pytest.mark.parametrize("name", EXPECTED)
    @given(seed=st.integers(0, 2**16))
    def test_the_order_of_entries_never_matters(self, name: str, seed: int) -> None:
        record = recorded(name)
        shuffled = copy.deepcopy(record)
        for key in ("resource_drift", "resource_changes", "relevant_attributes"):
            random.Random(seed).shuffle(shuffled["plan"].get(key, []))
        assert judge_record(shuffled) == judge_record(record)

    @pytest.mark.parametrize("name", EXPECTED)
    def test_noise_never_changes_the_verdict(self, name: str) -> None:
        record = recorded(name)
        before = judge_record(record)
        noise = change("x_y.z", "update", {"a": None, "b": ""}, {"a": {}, "b": [None, []]})
        record["plan"].setdefault("resource_drift", []).append(noise)
        after = judge_record(record)
        assert (after.verdict, after.changes) == (before.verdict, before.changes)
        assert after.summary.suppressed == before.summary.suppressed + 1

    @pytest.mark.parametrize("name", EXPECTED)
    def test_an_unapplied_change_beside_it_is_always_told(self, name: str) -> None:
        record = recorded(name)
        new = change("x_y.z", "update", {"a": "left"}, {"a": "right"})
        record["plan"].setdefault("resource_changes", []).append(new)
        record["exit_code"] = 2
        assert "unapplied x_y.z update a" in told(judge_record(record))

    @pytest.mark.parametrize("name", EXPECTED)
    def test_an_undone_drift_beside_it_is_always_told(self, name: str) -> None:
        record = recorded(name)
        tree = record["plan"]
        drift = change("x_y.z", "update", {"a": "left"}, {"a": "right"})
        undo = change("x_y.z", "update", {"a": "right"}, {"a": "left"})
        tree.setdefault("resource_drift", []).append(drift)
        tree.setdefault("resource_changes", []).append(undo)
        before = EXPECTED[name][0]
        record["exit_code"] = 2
        after = judge_record(record)
        assert "drift x_y.z update a" in told(after)
        assert after.verdict == ("drifted_unapplied" if "unapplied" in before else "drifted")

    def test_module_type_and_provider_are_told(self) -> None:
        (found,) = judge_record(recorded("drift_in_modules")).changes
        assert found.module == "module.outer.module.inner[0]"
        assert found.type == "aws_cloudwatch_log_group"
        assert found.provider == "registry.terraform.io/hashicorp/aws"

    def test_what_the_code_agrees_with_is_a_note(self) -> None:
        (note,) = judge_record(recorded("code_agrees")).notes
        assert f"{MAIN} (retention_in_days)" in note

    def test_what_hangs_on_a_drift_is_a_note(self) -> None:
        (note,) = judge_record(recorded("data_reads_drift")).notes
        assert note == "Would change only because of the drift: terraform_data.copy."


class TestContradictions:
    @pytest.mark.parametrize(
        ("exit_code", "tree"),
        [
            (2, plan()),
            (2, plan(changes=[change("a.b", "no-op", {}, {})])),
            (0, plan(changes=[change("a.b", "update", {"x": 1}, {"x": 2})])),
            (0, plan(output_changes={"o": {"actions": ["create"], "before": None, "after": 1}})),
            (0, plan(errored=True)),
            (2, plan(complete=False)),
            (0, plan() | {"format_version": "2.0"}),
            (0, {}),
            (2, plan(changes=[{"address": "a.b", "change": {"actions": []}}])),
            (2, plan(changes=["a.b"])),
            (2, plan(output_changes=[])),
            (2, None),
        ],
    )
    def test_a_plan_that_cannot_be_right_is_no_verdict(self, exit_code: int, tree: Any) -> None:
        with pytest.raises(CheckFailed) as caught:
            judge(exit_code, PlanMessages(), tree)
        assert (caught.value.phase, caught.value.kind) == ("show", "plan_unreadable")

    def test_a_missing_plan_is_clean_only_without_drift_messages(self) -> None:
        assert judge(0, PlanMessages(), None).verdict is Verdict.CLEAN
        with pytest.raises(CheckFailed):
            judge(0, PlanMessages(drift_addresses=("a.b",)), None)

    @pytest.mark.parametrize("exit_code", [1, -9, 130])
    def test_another_exit_code_is_no_verdict(self, exit_code: int) -> None:
        with pytest.raises(CheckFailed) as caught:
            judge(exit_code, PlanMessages(), plan())
        assert caught.value.kind == "plan_failed"

    @pytest.mark.parametrize("version", ["0.1", "0.2", "1.0", "1.2", "1.9"])
    def test_formats_of_older_and_newer_terraform_are_read(self, version: str) -> None:
        assert judged(plan() | {"format_version": version}, 0).verdict is Verdict.CLEAN


class TestMadeUpPlans:
    def test_a_deposed_object_is_an_unapplied_delete_beside_its_living_namesake(self) -> None:
        living = change("a.b", "no-op", {"x": 1}, {"x": 1})
        deposed = change("a.b", "delete", {"x": 1}, None, deposed="1f")
        judgement = judged(plan(changes=[living, deposed]))
        assert told(judgement) == ["unapplied a.b (deposed 1f) delete"]

    def test_drift_of_the_living_is_not_met_with_the_change_of_the_deposed(self) -> None:
        drift = change("a.b", "update", {"x": 1}, {"x": 2})
        deposed = change("a.b", "delete", {"x": 1}, None, deposed="1f")
        assert judged(plan(drift=[drift], changes=[deposed])).verdict is Verdict.UNAPPLIED

    def test_an_update_that_only_undoes_noise_is_neither(self) -> None:
        drift = change("a.b", "update", {"tags": None}, {"tags": {}})
        undo = change("a.b", "update", {"tags": {}}, {"tags": None})
        judgement = judged(plan(drift=[drift], changes=[undo]))
        assert (judgement.verdict, judgement.summary.suppressed) == (Verdict.CLEAN, 1)

    def test_outputs_are_counted_apart(self) -> None:
        judgement = judge_record(recorded("output_added"))
        assert (judgement.summary.outputs, judgement.summary.add) == (1, 0)

    def test_an_update_in_noise_that_did_not_drift_is_the_codes(self) -> None:
        made = plan(changes=[change("a.b", "update", {"text": ""}, {"text": None})])
        assert told(judged(made)) == ["unapplied a.b update text"]

    def test_true_is_not_one(self) -> None:
        drift = change("a.b", "update", {"x": True}, {"x": 1})
        undo = change("a.b", "update", {"x": 1}, {"x": True})
        assert judged(plan(drift=[drift], changes=[undo])).verdict is Verdict.DRIFTED

    def test_a_recreated_thing_may_come_back_with_zeros_unset(self) -> None:
        drift = change("a.b", "delete", {"rate": 0, "on": False, "name": "n", "id": "7"}, None)
        again = change(
            "a.b", "create", None, {"rate": None, "on": None, "name": "n"}, unknown={"id": True}
        )
        assert judged(plan(drift=[drift], changes=[again])).verdict is Verdict.DRIFTED

    def test_a_recreated_policy_may_come_back_in_another_order(self) -> None:
        drift = change("a.b", "delete", {"policy": '{"a":1,"b":2}'}, None)
        again = change("a.b", "create", None, {"policy": '{ "b": 2, "a": 1 }'})
        assert judged(plan(drift=[drift], changes=[again])).verdict is Verdict.DRIFTED

    def test_removed_block_beats_drift(self) -> None:
        drift = change("a.b", "update", {"x": 1}, {"x": 2})
        forget = change("a.b", "forget", {"x": 2}, None)
        judgement = judged(plan(drift=[drift], changes=[forget]))
        assert told(judgement) == ["unapplied a.b forget"]
        assert "removes it anyway: a.b" in judgement.notes[0]

    def test_an_output_that_reads_another_resource_is_unapplied_beside_drift(self) -> None:
        drift = change("a.b", "update", {"x": 1}, {"x": 2})
        outputs = {"o": {"actions": ["update"], "before": 1, "after": 2}}
        reads = {"expression": {"references": ["c.d.x", "c.d"]}}
        configuration = {"root_module": {"outputs": {"o": reads}}}
        made = plan(drift=[drift], output_changes=outputs, configuration=configuration)
        assert judged(made).verdict is Verdict.UNAPPLIED

    def test_a_chain_is_followed_to_its_end(self) -> None:
        length = 12
        drift = change("a.r0", "update", {"v": "old"}, {"v": "new"})
        changes = [
            change(f"a.r{i}", "update", {"v": f"old {i}"}, {"v": f"new {i}"})
            for i in range(1, length)
        ]
        resources = [
            {
                "address": f"a.r{i}",
                "expressions": {"v": {"references": [f"a.r{i - 1}.v", f"a.r{i - 1}"]}},
            }
            for i in range(1, length)
        ]
        # The text between grows with each step: only the neighbour explains a change.
        for i, item in enumerate(changes, 1):
            item["change"]["before"]["v"] = "old" + "-" * i
            item["change"]["after"]["v"] = "new" + "-" * i
        made = plan(
            drift=[drift],
            changes=changes[::-1],
            configuration={"root_module": {"resources": resources}},
        )
        judgement = judged(made)
        assert told(judgement) == ["drift a.r0 update v"]

    def test_a_change_of_code_hidden_in_a_drifted_text_is_told(self) -> None:
        drift = change("a.r0", "update", {"v": "old"}, {"v": "new"})
        other = change("a.r1", "update", {"v": "x old"}, {"v": "y new"})
        reads = {"address": "a.r1", "expressions": {"v": {"references": ["a.r0.v", "a.r0"]}}}
        made = plan(
            drift=[drift],
            changes=[other],
            configuration={"root_module": {"resources": [reads]}},
        )
        assert told(judged(made)) == ["unapplied a.r1 update v"]

    def test_notes_stay_short(self) -> None:
        drifts = [change(f"a.r{i}", "update", {"v": 1}, {"v": 2}) for i in range(50)]
        (note,) = judged(plan(drift=drifts), 0).notes
        assert note.endswith("and 30 more.")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 3)
    | st.sampled_from(["", "a", "b", "{}", '{"k":1}']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("pq"), inner),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES)
MASKS = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.booleans() | VALUES)
ADDRESSES = st.sampled_from(["t.x", "t.y[0]", 'module.m["k"].t.z'])
ACTIONS = st.sampled_from(
    ["no-op", "create", "update", "delete", "delete create", "create delete", "forget", "read"]
)
ENTRIES = st.builds(
    lambda address, actions, before, after, unknown: change(
        address, actions, before, after, unknown=unknown
    ),
    ADDRESSES,
    ACTIONS,
    st.none() | OBJECTS,
    st.none() | OBJECTS,
    MASKS,
)
REFERENCES = st.lists(
    st.sampled_from(["t.x.a", "t.y[0].b", "local.l", "module.m.o", "var.v", "each.key", "data.d.e"])
)
RESOURCES = st.lists(
    st.builds(
        lambda address, names: {
            "address": address,
            "expressions": {"a": {"references": names}, "b": [{"c": {"references": names}}]},
            "count_expression": {"references": names},
        },
        st.sampled_from(["t.x", "t.y", "data.d.e"]),
        REFERENCES,
    ),
    max_size=3,
)
CONFIGURATIONS = st.builds(
    lambda resources, names: {
        "root_module": {
            "resources": resources,
            "outputs": {"o": {"expression": {"references": names}}},
            "module_calls": {
                "m": {
                    "expressions": {"v": {"references": names}},
                    "module": {"resources": resources, "outputs": {"o": {"expression": {}}}},
                }
            },
        }
    },
    RESOURCES,
    REFERENCES,
)
PLAN_TREES = st.builds(
    lambda drift, changes, configuration, relevant, outputs: plan(
        drift=drift,
        changes=changes,
        configuration=configuration,
        relevant_attributes=[{"resource": r, "attribute": ["a"]} for r in relevant],
        output_changes=outputs,
    ),
    st.lists(ENTRIES, max_size=4),
    st.lists(ENTRIES, max_size=4),
    CONFIGURATIONS,
    st.lists(ADDRESSES, max_size=2),
    st.dictionaries(
        st.just("o"),
        st.builds(
            lambda actions, before, after, unknown: {
                "actions": [actions],
                "before": before,
                "after": after,
                "after_unknown": unknown,
            },
            st.sampled_from(["no-op", "create", "update", "delete"]),
            VALUES,
            VALUES,
            st.booleans(),
        ),
    ),
)


class TestProperties:
    @given(tree=PLAN_TREES, exit_code=st.sampled_from([0, 2]))
    def test_a_plan_is_judged_or_refused_and_never_breaks_us(
        self, tree: dict[str, Any], exit_code: int
    ) -> None:
        try:
            judgement = judge(exit_code, PlanMessages(), tree)
        except CheckFailed:
            return
        kinds = {c.kind for c in judgement.changes}
        assert ("drift" in kinds) == (judgement.verdict in ("drifted", "drifted_unapplied"))
        if "unapplied" in kinds:
            assert judgement.verdict in ("unapplied", "drifted_unapplied")
        assert judgement.verdict is not Verdict.ERROR

    @given(value=VALUES)
    def test_a_value_never_differs_from_itself_or_from_itself_without_noise(
        self, value: Any
    ) -> None:
        assert difference(value, value) is Difference.SAME
        assert difference(value, strip(value)) is Difference.SAME

    @given(value=VALUES)
    def test_an_unknown_value_may_be_anything(self, value: Any) -> None:
        assert difference(value, overlay(None, True)) is Difference.UNKNOWN

    @given(old=VALUES, now=VALUES)
    def test_setting_back_is_never_a_change_of_the_code(self, old: Any, now: Any) -> None:
        expected = Merge.NOTHING if difference(old, now) is Difference.SAME else Merge.UNDOES
        assert merge(old, now, old) is expected

    @given(old=VALUES, wanted=VALUES)
    def test_without_drift_nothing_is_undone(self, old: Any, wanted: Any) -> None:
        assert not merge(old, old, wanted) & Merge.UNDOES

    @given(old=VALUES, now=VALUES)
    def test_what_the_code_agrees_with_is_nothing(self, old: Any, now: Any) -> None:
        assert merge(old, now, now) is Merge.NOTHING


class TestMerge:
    @pytest.mark.parametrize(
        ("old", "now", "wanted", "expected"),
        [
            ({"a": 1}, {"a": 1, "b": 2}, {"a": 1, "c": 3}, Merge.UNDOES | Merge.CHANGES),
            ({"a": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}, Merge.CHANGES),
            (["x"], ["x", "y"], ["x"], Merge.UNDOES),
            (["x"], ["x", "y"], ["x", "y", "z"], Merge.CHANGES),
            (["x", "w"], ["x"], ["x", "w"], Merge.UNDOES),
            ([{"p": 1, "q": 1}], [{"p": 2, "q": 1}], [{"p": 1, "q": 5}], Merge(3)),
            ([{"p": 1, "q": 1}], [{"p": 2, "q": 1}], [{"p": 2, "q": 5}], Merge.CHANGES),
            (1, 2, 3, Merge.UNDOES | Merge.CHANGES),
            ('{"a":1}', '{"a":2}', '{"a":1,"b":1}', Merge.UNDOES | Merge.CHANGES),
            (1, 2, UNKNOWN, Merge.NOTHING),
            (["x", "y"], ["y", "x"], ["x", "y"], Merge.UNDOES),
        ],
    )
    def test_three_ways(self, old: Any, now: Any, wanted: Any, expected: Merge) -> None:
        assert merge(old, now, wanted) == expected

    def test_a_set_that_is_partly_unknown_may_be_the_same(self) -> None:
        before = [{"port": 22, "group": "g"}, {"port": 80, "group": "h"}]
        wanted = [{"port": 80, "group": UNKNOWN}, {"port": 22, "group": "g"}]
        assert difference(before, wanted) is Difference.UNKNOWN
        assert difference(before, [*wanted[:1], {"port": 23}]) is Difference.KNOWN
