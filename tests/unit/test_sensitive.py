"""What a root's own files and its plan say is a secret."""

from pathlib import Path

import pytest

from driftfleet.jobs import Job, Source, Variant
from driftfleet.redaction.redactor import Redactor
from driftfleet.results import Change
from tests.redaction.making import make
from worker.sensitive import masked_changes, secrets_of, sensitive_in_plan, sensitive_values

VALUE, DEFAULT, GIVEN, LITERAL = (make("opaque", n) for n in ("value", "default", "given", "code"))


def found(top: Path, root: str = "envs/prod", variant: Variant | None = None) -> list[str]:
    source = Source(kind="local", repo=str(top))
    job = Job(sweep_id="s", source=source, root=root, variant=variant or Variant())
    return sensitive_values(top, job)


def write(top: Path, **files: str) -> Path:
    folder = top / "envs" / "prod"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    return folder


DECLARED = f'''
variable "handle" {{
  type      = string
  sensitive = true
  default   = "{DEFAULT}"
}}
variable "size" {{
  default = "not-a-secret"
}}
'''


@pytest.mark.parametrize("name", ["terraform__tfvars", "x__auto__tfvars"])
def test_values_of_variables_that_are_declared_sensitive_are_learned(tmp_path, name):
    write(tmp_path, main__tf=DECLARED, **{name: f'handle = ["{VALUE}"]\nsize = "large-one"\n'})
    assert set(found(tmp_path)) == {DEFAULT, VALUE}


def test_so_are_those_in_json(tmp_path):
    declared = '{"variable": {"handle": {"sensitive": true, "default": "%s"}}}' % DEFAULT  # noqa: UP031
    write(tmp_path, main__tf__json=declared, terraform__tfvars__json=f'{{"handle": "{VALUE}"}}')
    assert set(found(tmp_path)) == {DEFAULT, VALUE}


def test_so_are_those_of_the_variant(tmp_path):
    write(tmp_path, main__tf=DECLARED)
    (tmp_path / "prod.tfvars").write_text(f'handle = "{VALUE}"\n')
    variant = Variant(var_files=("prod.tfvars",), env={"TF_VAR_handle": GIVEN, "TF_VAR_size": "xx"})
    assert set(found(tmp_path, variant=variant)) == {DEFAULT, VALUE, GIVEN}
    settings = ("secret_key=one-two-three", "bucket=acme", "conn_str=postgres://u:p4ssw0rd@h/d")
    assert secrets_of(Variant(backend_config=settings)) == ["one-two-three", "p4ssw0rd"]


def test_what_code_assigns_to_a_name_that_says_so_is_learned(tmp_path):
    code = (
        f'provider "x" {{\n  api_key = "{LITERAL}"\n  secret_arn = "arn:aws:x:y:1:secret:z"\n}}\n'
    )
    write(tmp_path, main__tf=code)
    assert found(tmp_path) == [LITERAL]


def test_a_heredoc_is_learned_line_by_line(tmp_path):
    write(
        tmp_path, main__tf=DECLARED, a__auto__tfvars="handle = <<EOT\nfirst-line-1\nsecond\nEOT\n"
    )
    assert "first-line-1" in found(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["variable {{{{ sensitive", "\0" * 100, "{" * 5000 + "sensitive", "[" * 100_000, '"' * 5000],
)
def test_what_is_no_terraform_teaches_nothing_and_does_no_harm(tmp_path, content):
    write(tmp_path, main__tf=content, main__tf__json=content, terraform__tfvars=content)
    assert not [value for value in found(tmp_path) if VALUE in value]


def test_a_link_that_leads_out_is_not_followed(tmp_path):
    outside = tmp_path / "outside.tfvars"
    outside.write_text(f'password = "{VALUE}"\n')
    top = tmp_path / "top"
    write(top).joinpath("x.auto.tfvars").symlink_to(outside)
    assert found(top) == []


def test_how_much_is_learned_is_bounded(tmp_path):
    lines = "\n".join(f'password_{n} = "{make("opaque", str(n))}"' for n in range(2_000))
    write(tmp_path, main__tf=lines)
    assert len(found(tmp_path)) == 500


def test_a_plan_tells_what_is_sensitive_in_it():
    plan = {
        "variables": {"a": {"value": VALUE}, "b": {"value": "b-is-open"}},
        "configuration": {"root_module": {"variables": {"a": {"sensitive": True}, "b": {}}}},
        "resource_changes": [
            {
                "change": {
                    "before": {"password": DEFAULT, "name": "a-name-of-it"},
                    "before_sensitive": {"password": True},
                    "after": {"list": [{"x": GIVEN, "y": "y-is-open"}]},
                    "after_sensitive": {"list": [{"x": True}]},
                }
            }
        ],
    }
    assert set(sensitive_in_plan(plan)) == {VALUE, DEFAULT, GIVEN}
    assert sensitive_in_plan({"variables": [1], "resource_changes": 3}) == []


def test_secrets_in_addresses_are_masked_and_the_changes_stay_two():
    def change(key: str) -> Change:
        return Change(address=f'x.y["{key}"]', kind="unapplied", actions=("create",))

    redact = Redactor([VALUE, GIVEN])
    shown = masked_changes([change(VALUE), change(GIVEN), change("open")], redact)
    assert {c.address for c in shown} == {'x.y["***1"]', 'x.y["***2"]', 'x.y["open"]'}


def test_a_name_in_code_stays_though_a_password_is_the_same():
    change = Change(address='x.postgres["postgres"]', kind="unapplied", actions=("create",))
    (shown,) = masked_changes([change], Redactor(["postgres"]))
    assert shown.address == 'x.postgres["***"]'
