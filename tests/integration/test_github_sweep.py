"""Looking at repositories on a server: what is found, what it costs, what is said of trouble."""

import io
import json
import re
from pathlib import Path

import pytest

from driftfleet.errors import ConfigurationError, CredentialsRefused
from driftfleet.settings import (
    CacheSettings,
    DiscoverySettings,
    GitHubSettings,
    RepositoryRule,
    Settings,
)
from producer.found import Outlook
from producer.progress import Progress
from producer.survey import survey
from producer.targets import read_targets
from tests.standin import Fault, Link, StandIn

ROOT = 'terraform {\n  backend "s3" {}\n}\n'
MODULE = 'output "x" {\n  value = 1\n}\n'
CALL = 'terraform {\n  backend "s3" {}\n}\nmodule "m" {\n  source = "../../modules/m"\n}\n'
FILES = {
    "envs/prod/main.tf": CALL,
    "envs/prod/.terraform-version": "1.11.4\n",
    "envs/prod/data.json": "{}",
    "modules/m/main.tf": MODULE,
    "src/app.py": "print()\n",
    "docs/.terraform-version": "1.0.0\n",
}


class Sweeper:
    """Looks at targets as the commands do, against the stand-in."""

    def __init__(self, ghe: StandIn, folder: Path) -> None:
        self.ghe = ghe
        self.folder = folder
        self.stderr = io.StringIO()
        self.token = ghe.token
        self.discovery = DiscoverySettings()
        self.member_bytes = 1 << 20
        self.rules: tuple[RepositoryRule, ...] = ()

    @property
    def settings(self) -> Settings:
        github = GitHubSettings(
            url=self.ghe.url, token="env://TOKEN", patience_seconds=1, timeout_seconds=20
        )
        return Settings(
            github=github,
            repositories=self.rules,
            discovery=self.discovery,
            cache=CacheSettings(folder=self.folder, member_bytes=self.member_bytes),
        )

    def __call__(self, *targets: str) -> Outlook:
        self.ghe.clear()
        self.stderr.seek(0)
        self.stderr.truncate()
        return survey(
            read_targets(targets, self.settings),
            self.settings,
            {"TOKEN": self.token},
            self.folder,
            Progress(self.stderr, animate=False),
        )

    @property
    def asked(self) -> list[str]:
        """The requests of the last call: paths without the API's prefix and the repository."""
        return [f"{r.status} {self._short(r.path)}" for r in self.ghe.requests]

    def _short(self, path: str) -> str:
        path = path.removeprefix("/api/v3")
        return re.sub(r"^/_codeload/.*", "/_codeload", re.sub(r"[0-9a-f]{40}", "SHA", path))

    @property
    def told(self) -> str:
        return self.stderr.getvalue()


@pytest.fixture
def sweep(ghe: StandIn, tmp_path: Path) -> Sweeper:
    return Sweeper(ghe, tmp_path / "cache")


def roots(outlook: Outlook) -> dict[str, list[str]]:
    return {one.source.repo: [root.path for root in one.discovery.roots] for one in outlook.found}


# What it costs


def test_a_repository_is_seen_at_its_newest_commit_with_five_requests_when_cold(
    ghe: StandIn, sweep: Sweeper
) -> None:
    sha = ghe.add_repository("acme/infra", FILES)
    outlook = sweep("acme/infra")
    (found,) = outlook.found
    assert found.source.model_dump() == {
        "kind": "github", "repo": "acme/infra", "ref": "", "sha": sha,
    }  # fmt: skip
    (root,) = found.discovery.roots
    assert (root.path, root.needs, root.terraform_version) == (
        "envs/prod", ("modules/m",), "1.11.4",
    )  # fmt: skip
    assert outlook.problems == ()
    assert len(ghe.requests) <= 6  # three blobs are fewer than an archive is worth
    fetched = [line for line in sweep.asked if "/blobs/" in line]
    assert len(fetched) == 3, "what is neither Terraform nor a version file beside it stays there"


def test_version_files_above_a_root_are_known_with_the_lines_of_constraints(
    ghe: StandIn, sweep: Sweeper
) -> None:
    files = {**FILES, ".tool-versions": "opentofu 1.6.2\n", "envs/.opentofu-version": "v1.8.0\n"}
    ghe.add_repository("acme/versions", files)
    (found,) = sweep("acme/versions").found
    asked = [(one.place, one.program, one.wants) for one in found.discovery.version_files]
    assert asked == [
        (".tool-versions:1", "tofu", ("1.6.2",)),
        ("envs/.opentofu-version:1", "tofu", ("1.8.0",)),
        ("envs/prod/.terraform-version:1", "terraform", ("1.11.4",)),
    ]


def test_an_unchanged_repository_costs_one_conditional_request_and_reads_nothing(
    ghe: StandIn, sweep: Sweeper
) -> None:
    ghe.add_repository("acme/infra", FILES)
    first = sweep("acme/infra")
    assert sweep("Acme/Infra") == first
    assert sweep.asked == ["304 /repos/acme/infra/commits/HEAD"]


def test_one_changed_file_costs_the_commit_the_tree_and_one_blob(
    ghe: StandIn, sweep: Sweeper
) -> None:
    ghe.add_repository("acme/infra", FILES)
    sweep("acme/infra")
    sha = ghe.commit("acme/infra", {"envs/dev/main.tf": ROOT, "src/app.py": "print(1)\n"})
    outlook = sweep("acme/infra")
    assert roots(outlook) == {"acme/infra": ["envs/dev", "envs/prod"]}
    assert outlook.found[0].source.sha == sha
    assert sweep.asked == [
        "200 /repos/acme/infra/commits/HEAD",
        "200 /repos/acme/infra/git/trees/SHA",
        "200 /repos/acme/infra/git/blobs/SHA",
    ]


def test_a_cold_monorepo_costs_at_most_five_requests(ghe: StandIn, sweep: Sweeper) -> None:
    files: dict[str, str | bytes | Link] = {
        f"envs/e{folder}/f{file}.tf": f'resource "terraform_data" "r{file}_{folder}" {{}}\n'
        for folder in range(40)
        for file in range(10)
    }
    files |= {f"src/{number}.py": f"print({number})\n" for number in range(200)}
    ghe.add_repository("acme/mono", files)
    outlook = sweep("acme/mono")
    assert len(roots(outlook)["acme/mono"]) == 40
    assert len(ghe.requests) <= 5
    assert sweep("acme/mono") == outlook
    assert len(ghe.requests) == 1


def test_a_ref_is_looked_at_at_its_own_commit_and_remembered_apart(
    ghe: StandIn, sweep: Sweeper
) -> None:
    sha = ghe.add_repository("acme/infra", FILES)
    ghe.branch("acme/infra", "release/7", sha)
    newer = ghe.commit("acme/infra", {"new/main.tf": ROOT})
    assert sweep("acme/infra").found[0].source.sha == newer
    source = sweep("acme/infra@release/7").found[0].source
    assert (source.ref, source.sha) == ("release/7", sha)
    sweep("acme/infra@release/7")
    assert sweep.asked == ["304 /repos/acme/infra/commits/release/7"]


def test_other_globs_are_another_discovery_of_the_same_commit(ghe: StandIn, sweep: Sweeper) -> None:
    ghe.add_repository("acme/infra", FILES)
    sweep("acme/infra")
    sweep.discovery = DiscoverySettings(exclude=("envs/**",), include=("modules/m",))
    assert roots(sweep("acme/infra")) == {"acme/infra": ["modules/m"]}
    assert sweep.asked == ["304 /repos/acme/infra/commits/HEAD"]


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 100])
def test_a_corrupt_memory_costs_requests_and_no_more(
    ghe: StandIn, sweep: Sweeper, content: bytes
) -> None:
    ghe.add_repository("acme/infra", FILES)
    first = sweep("acme/infra")
    for path in (sweep.folder / "repositories").iterdir():
        path.write_bytes(content)
    assert sweep("acme/infra") == first
    assert sweep.asked == ["200 /repos/acme/infra", "200 /repos/acme/infra/commits/HEAD"]
    sweep("acme/infra")
    assert len(ghe.requests) == 1


# Which repositories


def test_an_organisation_is_its_repositories_less_what_is_left_out_with_a_count(
    ghe: StandIn, sweep: Sweeper
) -> None:
    for number in range(105):
        ghe.add_repository(f"pay/r{number}", {"main.tf": ROOT})
    ghe.add_repository("pay/old", {"main.tf": ROOT}, archived=True)
    ghe.add_repository("pay/off", {"main.tf": ROOT}, disabled=True)
    ghe.add_repository("pay/fork", {"main.tf": ROOT}, fork=True)
    outlook = sweep("org:pay")
    assert sorted(roots(outlook)) == sorted(f"pay/r{number}" for number in range(105))
    assert outlook.problems == ()
    assert (
        "org:pay: 105 of 108 repositories are looked at; left out: 1 archived, 1 disabled, 1 forks"
        in sweep.told
    )
    sweep("org:pay")
    assert len(ghe.requests) == 2 + 105, "two pages, and one conditional request each"


def test_rules_select_by_topic_language_and_name(ghe: StandIn, sweep: Sweeper) -> None:
    ghe.add_repository("pay/a-infra", {"main.tf": ROOT}, topics=("terraform",))
    ghe.add_repository("pay/b-infra", {"main.tf": ROOT}, topics=("terraform",), language="Go")
    ghe.add_repository("pay/c-app", {"main.tf": ROOT}, topics=("terraform",))
    ghe.add_repository("pay/d-infra", {"main.tf": ROOT})
    sweep.rules = (
        RepositoryRule(org="pay", topics=("terraform",), languages=("HCL",), include=("*-infra",)),
    )
    assert list(roots(sweep())) == ["pay/a-infra"]
    assert "3 not selected" in sweep.told


def test_what_is_named_and_listed_is_looked_at_once(ghe: StandIn, sweep: Sweeper) -> None:
    sha = ghe.add_repository("pay/a", {"main.tf": ROOT})
    ghe.branch("pay/a", "v1", sha)
    ghe.commit("pay/a", {"b/main.tf": ROOT})
    ghe.add_repository("pay/b", {"main.tf": ROOT})
    outlook = sweep("org:pay", "Pay/A@v1")
    assert {one.source.repo: one.source.ref for one in outlook.found} == {
        "pay/a": "v1", "pay/b": "",
    }  # fmt: skip


def test_archived_and_disabled_ones_are_skipped_with_a_word_unless_asked_for(
    ghe: StandIn, sweep: Sweeper
) -> None:
    ghe.add_repository("acme/old", {"main.tf": ROOT}, archived=True)
    ghe.add_repository("acme/off", {"main.tf": ROOT}, disabled=True)
    assert sweep("acme/old", "acme/off").found == ()
    assert "acme/old: is archived, and left out" in sweep.told
    assert "acme/off: is disabled, and left out" in sweep.told
    sweep.rules = (RepositoryRule(repo="acme/old", archived=True),)
    assert roots(sweep()) == {"acme/old": ["."]}


def test_an_empty_repository_is_a_message_and_no_problem(ghe: StandIn, sweep: Sweeper) -> None:
    ghe.add_repository("acme/empty")
    outlook = sweep("acme/empty")
    assert (outlook.found, outlook.problems) == ((), ())
    assert sweep.told == "acme/empty: is empty: it has no commit yet\n"


def test_a_renamed_repository_is_looked_at_by_its_new_name_and_both_are_told(
    ghe: StandIn, sweep: Sweeper
) -> None:
    ghe.add_repository("acme/old", {"main.tf": ROOT})
    ghe.rename("acme/old", "acme/new")
    for _ in range(2):
        assert roots(sweep("acme/old")) == {"acme/new": ["."]}
        assert "acme/old: is now acme/new, and is looked at under that name" in sweep.told
    assert sweep.asked == ["304 /repos/acme/new/commits/HEAD"]
    assert list(roots(sweep("acme/old", "acme/new"))) == ["acme/new"]


# Trouble


def test_what_is_not_there_is_told_and_ends_no_other(ghe: StandIn, sweep: Sweeper) -> None:
    ghe.add_repository("acme/infra", FILES)
    ghe.add_repository("acme/secret", FILES, visible_to=())
    outlook = sweep("acme/nope", "acme/infra", "acme/secret", "acme/infra2@v9", "org:nobody")
    assert list(roots(outlook)) == ["acme/infra"]
    assert {trouble.name for trouble in outlook.troubles} == {
        "acme/nope", "acme/secret", "acme/infra2", "org:nobody",
    }  # fmt: skip
    host = ghe.host
    assert (
        f"acme/nope: there is no such repository on {host}, or the token may not see it"
        in outlook.problems
    )
    for problem in outlook.problems:
        assert problem in sweep.told


def test_a_ref_that_is_not_there_is_named(ghe: StandIn, sweep: Sweeper) -> None:
    ghe.add_repository("acme/infra", FILES)
    (problem,) = sweep("acme/infra@nope").problems
    assert problem == "acme/infra: it has no branch, tag or commit 'nope' that the token may see"


def test_a_remembered_name_that_is_gone_is_asked_for_anew(ghe: StandIn, sweep: Sweeper) -> None:
    ghe.add_repository("acme/infra", FILES)
    sweep("acme/infra")
    ghe.rename("acme/infra", "acme/platform")
    # Somebody else takes the old name's place: no redirect is left, and the commits are others.
    del ghe._names["acme/infra"]
    (problem,) = sweep("acme/infra").problems
    assert "no such repository" in problem
    assert sweep.asked == ["404 /repos/acme/infra/commits/HEAD", "404 /repos/acme/infra"]
    ghe.add_repository("acme/infra", {"other/main.tf": ROOT})
    assert roots(sweep("acme/infra")) == {"acme/infra": ["other"]}


def test_a_refused_token_ends_it_all_at_once(ghe: StandIn, sweep: Sweeper) -> None:
    for number in range(12):
        ghe.add_repository(f"acme/r{number}", {"main.tf": ROOT})
    sweep.token = "ghp_wrong0000000000000000000000000000001"
    with pytest.raises(CredentialsRefused):
        sweep(*(f"acme/r{number}" for number in range(12)))
    assert ghe.refused_credentials == 1
    with pytest.raises(CredentialsRefused):
        sweep("acme/r1")
    assert ghe.requests == [], "the next command knows that it was refused"


def test_an_absent_secret_is_told_before_anything_is_asked(ghe: StandIn, sweep: Sweeper) -> None:
    sweep.token = ""
    with pytest.raises(ConfigurationError, match="TOKEN"):
        sweep("acme/infra")
    assert ghe.requests == []


def test_a_server_that_does_not_answer_is_not_asked_for_every_repository(
    ghe: StandIn, sweep: Sweeper
) -> None:
    ghe.fault("/", Fault.server_error(503), times=None)
    outlook = sweep(*(f"acme/r{number}" for number in range(80)))
    assert len(outlook.troubles) == 80
    asked = {request.path for request in ghe.requests if "/repos/" in request.path}
    # Some more are asked for while it is asked whether it is there at all: how many is chance, for
    # each try is followed by a pause of some length.
    assert len(asked) < 40
    assert any("was not asked for" in problem for problem in outlook.problems)


def test_repositories_in_trouble_hide_none_of_the_others(ghe: StandIn, sweep: Sweeper) -> None:
    for number in range(30):
        ghe.add_repository(f"acme/r{number:02}", {"a/main.tf": ROOT + f"# {number}\n"})
    ghe.fault(r"/acme/r(0\d|1[0-4])/git/trees", Fault.cut(30), times=None)
    ghe.fault(r"/acme/r1[5-9]/", Fault.server_error(502), times=None)
    outlook = sweep(*(f"acme/r{number:02}" for number in range(30)))
    assert [found.source.repo for found in outlook.found] == [f"acme/r{n}" for n in range(20, 30)]
    assert [trouble.name for trouble in outlook.troubles] == [f"acme/r{n:02}" for n in range(20)]


def test_a_server_that_says_it_is_there_and_answers_nothing_else_is_left_at_last(
    ghe: StandIn, sweep: Sweeper
) -> None:
    ghe.fault("/repos/", Fault.server_error(503), times=None)
    outlook = sweep(*(f"acme/r{number}" for number in range(90)))
    assert len(outlook.troubles) == 90
    asked = {request.path for request in ghe.requests if "/repos/" in request.path}
    # Each thread may be at one, and begin another before it is told to end.
    assert 64 <= len(asked) <= 64 + 4 + 4


def test_each_sweep_has_an_order_of_its_own(ghe: StandIn, sweep: Sweeper) -> None:
    names = [f"acme/r{number:02}" for number in range(20)]
    for name in names:
        ghe.add_repository(name, {"a/main.tf": ROOT})
    orders = []
    for _ in range(2):
        outlook = sweep(*names)
        assert [found.source.repo for found in outlook.found] == names
        orders.append([request.path for request in ghe.requests])
        for path in (sweep.folder / "repositories").iterdir():
            path.unlink()
    assert orders[0] != orders[1]


def test_a_rate_limit_that_outlasts_our_patience_is_told_at_once_and_once(
    ghe: StandIn, sweep: Sweeper
) -> None:
    for number in range(3):
        ghe.add_repository(f"acme/r{number}", {"main.tf": ROOT})
    ghe.rate_limited(100, remaining=0, reset=ghe.clock() + 3000)
    outlook = sweep("acme/r0", "acme/r1", "acme/r2")
    assert len(outlook.troubles) == 3
    assert all("its rate limit" in problem for problem in outlook.problems)
    assert sweep.told.count(f"{ghe.host} wants us to wait for ") == 1
    assert len(ghe.requests) <= 3


def test_a_file_that_is_too_large_is_an_error_of_its_folder(ghe: StandIn, sweep: Sweeper) -> None:
    sweep.member_bytes = 1000
    ghe.add_repository("acme/infra", {**FILES, "huge/main.tf": "#" * 1001, "huge/x.tf": ROOT})
    outlook = sweep("acme/infra")
    assert outlook.problems == ()
    folders = {folder.path: folder for folder in outlook.found[0].discovery.folders}
    assert "cache.member_bytes" in folders["huge"].errors[0].message
    assert folders["envs/prod"].errors == ()


def test_a_link_to_a_file_that_is_too_large_is_an_error_of_its_folder(
    ghe: StandIn, sweep: Sweeper
) -> None:
    sweep.member_bytes = 1000
    evil = {"evil/big.bin": "#" * 1001, "evil/x.tf": Link("big.bin"), "evil2/main.tf": ROOT}
    evil |= {"evil2/.terraform-version": Link("../evil/big.bin")}
    ghe.add_repository("acme/infra", {**FILES, **evil})
    outlook = sweep("acme/infra")
    assert outlook.problems == ()
    folders = {folder.path: folder for folder in outlook.found[0].discovery.folders}
    assert "cache.member_bytes" in folders["evil"].errors[0].message
    assert folders["envs/prod"].errors == folders["evil2"].errors == ()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/".join(["deep", *["a"] * 2100]) + "/main.tf", "nested too deeply"),
        ("deep/..\\x/main.tf", "the name"),
    ],
)
def test_what_cannot_be_listed_is_told_each_time_and_hides_no_other_root(
    ghe: StandIn, sweep: Sweeper, path: str, words: str
) -> None:
    ghe.add_repository("acme/infra", {**FILES, path: ROOT})
    for _ in range(2):
        outlook = sweep("acme/infra")
        assert roots(outlook) == {"acme/infra": ["envs/prod"]}
        (problem,) = outlook.problems
        assert re.match(rf"acme/infra: deep\S*: .*{words}", problem)
        assert problem in sweep.told
    assert sweep.asked == ["304 /repos/acme/infra/commits/HEAD"]
    sweep.discovery = DiscoverySettings(exclude=("deep/**",))
    assert sweep("acme/infra").problems == ()


def test_many_places_that_cannot_be_listed_are_told_in_few_words(
    ghe: StandIn, sweep: Sweeper
) -> None:
    ghe.add_repository("acme/infra", {**FILES, **{f"d{n:02}/..\\x": "" for n in range(30)}})
    outlook = sweep("acme/infra")
    assert roots(outlook) == {"acme/infra": ["envs/prod"]}
    assert len(outlook.problems) == 6
    assert "acme/infra: 25 more folders" in outlook.problems[-1]


def test_an_archive_that_attributes_make_too_large_costs_no_root(
    ghe: StandIn, sweep: Sweeper
) -> None:
    many = {f"many/m{n}/main.tf": f"{ROOT}# {n}\n" for n in range(170)}
    ghe.add_repository("acme/infra", {**FILES, **many})
    subst = {"bad/.gitattributes": "* export-subst\n", "bad/f": ("$Format:" + "%B" * 100 + "$\n")}
    ghe.commit("acme/infra", subst, message="M" * 100_000)
    outlook = sweep("acme/infra")
    assert outlook.problems == ()
    assert len(roots(outlook)["acme/infra"]) == 171
    assert any("_codeload" in line for line in sweep.asked)


def test_a_hostile_link_is_an_error_of_its_folder_and_hides_no_other_root(
    ghe: StandIn, sweep: Sweeper
) -> None:
    files = {**FILES, "evil/main.tf": Link("../../../../etc/passwd"), "fine/main.tf": ROOT}
    ghe.add_repository("acme/infra", files)
    outlook = sweep("acme/infra")
    assert outlook.problems == ()
    kinds = {folder.path: folder for folder in outlook.found[0].discovery.folders}
    assert kinds["envs/prod"].kind == kinds["fine"].kind == "root"
    assert kinds["evil"].errors or kinds["evil"].problems
    assert "root:" not in json.dumps(kinds["evil"].model_dump())


def test_a_repository_without_terraform_or_roots_is_said_and_no_problem(
    ghe: StandIn, sweep: Sweeper
) -> None:
    ghe.add_repository("acme/app", {"src/app.py": "print()\n"})
    ghe.add_repository("acme/modules", {"modules/m/main.tf": MODULE})
    outlook = sweep("acme/app", "acme/modules")
    assert outlook.problems == ()
    assert re.search(r"acme/app at \w{10}: no root module in it \(no file \*.tf", sweep.told)
    assert re.search(r"acme/modules at \w{10}: no root .*1 folder with Terraform", sweep.told)


def test_folders_and_repositories_are_looked_at_together(
    ghe: StandIn, sweep: Sweeper, tmp_path: Path
) -> None:
    ghe.add_repository("acme/infra", FILES)
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "main.tf").write_text(ROOT)
    outlook = sweep(str(tmp_path / "local"), "acme/infra")
    assert [one.source.kind for one in outlook.found] == ["local", "github"]
