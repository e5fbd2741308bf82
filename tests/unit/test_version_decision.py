"""Which version plans a root: who wins, what is said, and what is refused."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.errors import InstallUnavailable, VersionUndecided
from driftfleet.jobs import Source
from driftfleet.version_settings import TerraformSettings, VersionPin
from driftfleet.versions.available import AvailableVersions, parse_printed
from driftfleet.versions.constraint import Version, parse_constraint, satisfies
from driftfleet.versions.decision import (
    Decision,
    Pin,
    Question,
    Requirement,
    decide,
    named_program,
)
from driftfleet.versions.explanation import Constraint, lowest_that_fits
from driftfleet.versions.pins import pin_for
from driftfleet.versions.version_file import Asked, Program, parse_version_file

HERE = ("1.5.7", "1.9.8", "1.11.4")
TO_BE_HAD = ("0.12.31", "1.4.6", "1.5.7", "1.13.0", "1.14.0-beta1")


def versions(*texts: str) -> list[Version]:
    return [Version.parse(text) for text in texts]


@dataclass(frozen=True)
class KnownVersions:
    """Versions that are known beforehand."""

    installed_versions: Mapping[Program, Sequence[Version]] = field(default_factory=dict)
    installable_versions: Mapping[Program, Sequence[Version]] = field(default_factory=dict)

    def installed(self, program: Program) -> Sequence[Version]:
        return self.installed_versions.get(program, ())

    def installable(self, program: Program) -> Sequence[Version]:
        return self.installable_versions.get(program, ())


THERE = KnownVersions(
    {"terraform": versions(*HERE)},
    {"terraform": versions(*TO_BE_HAD), "tofu": versions("1.6.2", "1.8.0")},
)


def file(path: str, text: str) -> Asked:
    asked = parse_version_file(path, text.encode())
    assert asked is not None
    return asked


def ask(
    *required: str,
    pin: str | Pin | None = None,
    files: Sequence[Asked] = (),
    default: str = "",
    there: AvailableVersions = THERE,
    prefer_installed: bool = True,
) -> Decision:
    question = Question(
        root="envs/prod",
        pin=Pin(pin, "terraform.pins, entry 1") if isinstance(pin, str) else pin,
        files=tuple(files),
        requirements=tuple(Requirement(r, f"main.tf:{n}") for n, r in enumerate(required, 1)),
        default=Pin(default, "terraform.default") if default else None,
    )
    return decide(question, there, prefer_installed=prefer_installed)


def chosen(decision: Decision) -> str:
    return f"{decision.program} {decision.version}"


OWN, ABOVE, TOP = (f"{f}.terraform-version" for f in ("envs/prod/", "envs/", ""))


@dataclass(frozen=True)
class Silent:
    """Versions that are installed, beside a remote that does not answer."""

    here: Sequence[Version] = ()

    def installed(self, program: Program) -> Sequence[Version]:
        return self.here if program == "terraform" else ()

    def installable(self, program: Program) -> Sequence[Version]:
        raise InstallUnavailable("the remote is away")


class TestWhatCouldBeInstalled:
    """A remote is asked only where what is installed doesn't decide."""

    @pytest.mark.parametrize(
        ("required", "content", "wanted"),
        [
            (">= 1.5", None, "terraform 1.11.4"),
            ("", "1.5.7", "terraform 1.5.7"),
            ("", "1.2.3", "terraform 1.2.3"),
            ("", "latest", "terraform 1.11.4"),
            ("", "latest:^1.9", "terraform 1.9.8"),
            ("~> 1.5.0", "latest-allowed", "terraform 1.5.7"),
            (">= 1.6", "min-required", "terraform 1.9.8"),
        ],
    )
    def test_it_is_not_asked_where_what_is_here_will_do(
        self, required: str, content: str | None, wanted: str
    ) -> None:
        files = [file(TOP, content)] if content is not None else []
        there = Silent(versions(*HERE))
        assert chosen(ask(*filter(None, [required]), files=files, there=there)) == wanted

    def test_nor_for_a_line_of_several_versions(self) -> None:
        asked = file(".tool-versions", "terraform 1.6.0 1.9.8 1.5.7")
        assert chosen(ask(files=[asked], there=Silent(versions(*HERE)))) == "terraform 1.9.8"
        assert chosen(ask(files=[asked], there=Silent())) == "terraform 1.6.0"

    def test_where_it_is_needed_its_silence_is_no_verdict_and_names_what_was_asked(self) -> None:
        for required, files in ((["~> 1.13"], []), ([], [file(TOP, "latest:^1.13")])):
            with pytest.raises(InstallUnavailable) as caught:
                ask(*required, files=files, there=Silent(versions(*HERE)))
            message = caught.value.message
            assert "'~> 1.13' (main.tf:1)" in message or "'latest:^1.13'" in message
            assert message.endswith("What could be installed is not known: the remote is away")
        with pytest.raises(InstallUnavailable, match=r"envs/prod: the newest .*\n.* is away"):
            ask(">= 1.5", there=Silent(versions(*HERE)), prefer_installed=False)

    def test_nor_where_no_version_can_satisfy_all(self) -> None:
        for files in ([], [file(TOP, "latest:^1.13")]):
            with pytest.raises(VersionUndecided, match="No version can satisfy them all"):
                ask(">= 2.0", "< 1.0", files=files, there=Silent(versions(*HERE)))

    def test_opentofu_that_could_be_installed_is_not_the_only_one_there(self) -> None:
        there = KnownVersions({}, {"tofu": versions("1.8.0"), "terraform": versions("1.13.0")})
        assert chosen(ask(">= 1.0", there=there)) == "terraform 1.13.0"


class TestStrength:
    """fleet.yaml, the root's own file, the nearest parent's, constraints, the default."""

    def test_each_gives_way_to_the_one_before(self) -> None:
        files = [file(OWN, "1.9.8"), file(ABOVE, "1.5.7"), file(TOP, "1.4.6")]
        assert (
            chosen(ask(">= 1.0", pin="1.11.4", files=files, default="1.4.6")) == "terraform 1.11.4"
        )
        assert chosen(ask(">= 1.0", files=files, default="1.4.6")) == "terraform 1.9.8"
        assert chosen(ask(">= 1.0", files=files[1:], default="1.4.6")) == "terraform 1.5.7"
        assert chosen(ask(">= 1.0", files=files[2:], default="1.4.6")) == "terraform 1.4.6"
        assert chosen(ask(">= 1.0", default="1.4.6")) == "terraform 1.11.4"
        assert chosen(ask(default="1.4.6")) == "terraform 1.4.6"
        assert ask() == Decision(None, None, "nothing asks for a version")

    def test_a_file_of_a_folder_beside_says_nothing(self) -> None:
        assert ask(files=[file("envs/test/.terraform-version", "1.5.7")]).version is None

    def test_in_one_folder(self) -> None:
        asdf = file("envs/prod/.tool-versions", "terraform 1.9.8")
        tofu = file("envs/prod/.opentofu-version", "1.6.2")
        assert chosen(ask(files=[asdf, file(OWN, "1.5.7")])) == "terraform 1.5.7"
        assert chosen(ask(files=[asdf, file(OWN, "1.5.7"), tofu])) == "tofu 1.6.2"
        assert chosen(ask(files=[asdf, file(ABOVE, "1.5.7")])) == "terraform 1.9.8"

    def test_a_pin_is_over_a_file_that_can_not_be_read(self) -> None:
        broken = file(OWN, "../../x")
        assert chosen(ask(pin="1.5.7", files=[broken])) == "terraform 1.5.7"
        with pytest.raises(VersionUndecided, match=r"envs/prod/\.terraform-version:1: '../../x'"):
            ask(files=[broken])

    def test_it_says_who_decided(self) -> None:
        assert ask(files=[file(OWN, "\n1.5.7")]).why == f"{OWN}:2 says 1.5.7"
        assert ask(pin="~> 1.5").place == "terraform.pins, entry 1"
        assert ask(">= 1.0", "< 2").why.endswith("'>= 1.0' (main.tf:1) and 1 more")


@pytest.mark.parametrize(
    ("want", "required", "prefer_installed", "expected"),
    [
        ("latest", (), True, "1.11.4"),
        ("latest", (), False, "1.13.0"),
        ("latest:^1\\.5", (), True, "1.5.7"),
        ("latest:^0\\.12", (), True, "0.12.31"),
        ("latest:beta", (), True, "1.14.0-beta1"),
        ("min-required", (">= 1.0, < 2",), True, "1.5.7"),
        ("min-required", (">= 1.0, < 2",), False, "1.4.6"),
        ("latest-allowed", ("< 1.10",), True, "1.9.8"),
        ("latest-allowed", ("~> 1.4.0",), True, "1.4.6"),
        ("latest-allowed", (), True, "1.11.4"),
        ("1.14.0-beta1", (">= 1.14",), True, "1.14.0-beta1"),
        ("1.7.0", (">= 1.5",), True, "1.7.0"),
    ],
)
def test_keywords(
    want: str, required: tuple[str, ...], prefer_installed: bool, expected: str
) -> None:
    decision = ask(*required, files=[file(OWN, want)], prefer_installed=prefer_installed)
    assert str(decision.version) == expected


class TestPrograms:
    def test_opentofu_where_it_is_the_only_one_there(self) -> None:
        tofu = KnownVersions({"tofu": versions("1.6.2")})
        assert chosen(ask(">= 1.0", there=tofu)) == "tofu 1.6.2"
        assert chosen(ask(pin="~> 1.6", there=tofu)) == "tofu 1.6.2"

    def test_a_pin_may_name_the_program_alone_and_the_others_files_say_nothing(self) -> None:
        pin = Pin("", "terraform.pins, entry 1", "tofu")
        assert chosen(ask(pin=pin, files=[file(OWN, "1.5.7")])) == "tofu None"
        assert chosen(ask(">= 1.7", pin=pin, files=[file(OWN, "1.5.7")])) == "tofu 1.8.0"
        tofu = file("envs/.opentofu-version", "1.6.2")
        assert chosen(ask(pin=pin, files=[file(OWN, "1.5.7"), tofu])) == "tofu 1.6.2"

    def test_a_pin_of_a_version_alone_leaves_the_program_to_the_nearest_file(self) -> None:
        tofu = file("envs/.opentofu-version", "1.8.0")
        assert chosen(ask(pin="1.6.2", files=[tofu])) == "tofu 1.6.2"
        assert chosen(ask(pin="1.6.2", files=[tofu, file(OWN, "1.5.7")])) == "terraform 1.6.2"
        pin = Pin("1.6.2", "terraform.pins, entry 1", "terraform")
        assert chosen(ask(pin=pin, files=[tofu])) == "terraform 1.6.2"

    def test_of_several_of_asdf_the_first_that_is_there(self) -> None:
        asked = file("envs/prod/.tool-versions", "terraform 1.7.0 1.5.7 1.9.8")
        assert chosen(ask(files=[asked])) == "terraform 1.5.7"
        none = file("envs/prod/.tool-versions", "terraform 1.7.0 1.7.1")
        assert chosen(ask(files=[none])) == "terraform 1.7.0"


class TestRefusals:
    @pytest.mark.parametrize("constraint", ["foo", ">= 1.0-beta1"])
    def test_a_files_name_is_harmless_in_what_is_said_of_it(self, constraint: str) -> None:
        question = Question("envs/prod", requirements=(Requirement(constraint, "\x1b[2J.tf:1"),))
        with pytest.raises(VersionUndecided) as caught:
            decide(question, THERE, prefer_installed=True)
        assert caught.value.message.isprintable()

    def test_a_pin_against_required_version_names_both(self) -> None:
        with pytest.raises(VersionUndecided) as caught:
            ask(">= 1.6", "< 3", files=[file(OWN, "1.5.7")])
        message = caught.value.message
        assert f"Terraform 1.5.7 is asked for by 1.5.7 ({OWN}:1)" in message
        assert "- '>= 1.6' (main.tf:1) excludes 1.5.7\n" in message
        assert "- '< 3' (main.tf:2)\n" in message

    @pytest.mark.parametrize("want", ["latest", "latest:^1.9"])
    def test_so_does_latest(self, want: str) -> None:
        with pytest.raises(VersionUndecided, match="excludes 1"):
            ask("< 1.6", files=[file(OWN, want)])

    def test_every_constraint_is_listed_with_its_place_and_the_nearest_version(self) -> None:
        with pytest.raises(VersionUndecided) as caught:
            ask(">= 1.9.9", "!= 1.11.4", "< 1.13")
        assert caught.value.message.splitlines() == [
            "no Terraform that is there or could be installed satisfies all that is asked for:",
            "- '>= 1.9.9' (main.tf:1)",
            "- '!= 1.11.4' (main.tf:2)",
            "- '< 1.13' (main.tf:3) excludes 1.13.0",
            "The nearest is Terraform 1.13.0; there are: 1.13.0, 1.11.4, 1.9.8, 1.5.7, 1.4.6, "
            "0.12.31.",
            "Name a releases mirror with one that satisfies all, such as 1.9.9, or change the "
            "constraints.",
        ]

    def test_what_excludes_itself_is_told(self) -> None:
        with pytest.raises(VersionUndecided, match="No version can satisfy them all"):
            ask(">= 1.5", "< 1.5")
        with pytest.raises(VersionUndecided, match="No version can satisfy them all"):
            ask(">= 1.5", "< 1.5", pin="1.5.7")

    @pytest.mark.parametrize("constraint", ["= 1.14.0-beta1", ">= 1.5, latest", "=> 1.5", ">= 1,"])
    def test_what_terraform_would_not_read(self, constraint: str) -> None:
        with pytest.raises(VersionUndecided, match=r"^main\.tf:1: "):
            ask(constraint)

    def test_min_required_of_nothing(self) -> None:
        with pytest.raises(VersionUndecided, match="neither envs/prod nor a module of it"):
            ask(files=[file(OWN, "min-required")])

    def test_constraints_without_end(self) -> None:
        with pytest.raises(VersionUndecided, match="300 different parts"):
            ask(*(f"!= 1.0.{n}" for n in range(301)))
        assert ask(*["!= 1.0.1"] * 1_000).version == Version.parse("1.11.4")

    def test_nothing_there(self) -> None:
        with pytest.raises(VersionUndecided, match="there is no Terraform here"):
            ask(">= 1.0", there=KnownVersions())


def test_the_first_pin_that_matches_counts() -> None:
    settings = TerraformSettings(
        pins=(
            VersionPin(repo="Acme/*", root="envs/*", version="1.5.7"),
            VersionPin(repo="srv/**", version="~> 1.9"),
            VersionPin(version="1.11.4"),
        )
    )
    github = Source(kind="github", repo="acme/infra", sha="a" * 40)
    local = Source(kind="local", repo="/srv/checkouts/infra")
    assert pin_for(settings, github, "envs/prod") == Pin("1.5.7", "terraform.pins, entry 1")
    assert pin_for(settings, github, "envs/a/b") == Pin("1.11.4", "terraform.pins, entry 3")
    assert pin_for(settings, local, ".") == Pin("~> 1.9", "terraform.pins, entry 2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"Terraform v1.11.4\non linux_amd64\n", ("terraform", "1.11.4")),
        (b"OpenTofu v1.6.2\non linux_amd64\n", ("tofu", "1.6.2")),
        (
            b"Terraform v0.11.11\n\nYour version of Terraform is out of date!",
            ("terraform", "0.11.11"),
        ),
        (b"a warning\nTerraform v1.12.0-beta1\n", ("terraform", "1.12.0-beta1")),
        (b"", None),
        (b"Terraform v../../x", None),
        (b"\xff" * 100, None),
    ],
)
def test_what_a_program_prints(text: bytes, expected: tuple[Program, str] | None) -> None:
    read = parse_printed(text)
    assert (read and (read[0], str(read[1]))) == expected


SMALL = [Version(*numbers) for numbers in itertools.product(range(3), repeat=3)]
CONSTRAINTS = st.lists(
    st.tuples(
        st.sampled_from(["=", "!=", ">", ">=", "<", "<=", "~>"]),
        st.lists(st.integers(0, 2), min_size=1, max_size=3),
    ).map(lambda part: f"{part[0]} {'.'.join(map(str, part[1]))}"),
    min_size=1,
    max_size=4,
)


@given(CONSTRAINTS, st.sets(st.sampled_from(SMALL)), st.sets(st.sampled_from(SMALL)), st.booleans())
def test_the_solver_is_what_trying_all_gives(
    constraints: list[str], installed: set[Version], others: set[Version], prefer: bool
) -> None:
    there = KnownVersions({"terraform": list(installed)}, {"terraform": list(others)})

    def best(pool: set[Version]) -> Version | None:
        parts = [parse_constraint(constraint) for constraint in constraints]
        return max((v for v in pool if all(satisfies(v, p) for p in parts)), default=None)

    expected = (best(installed) if prefer else None) or best(installed | others)
    try:
        found = ask(*constraints, there=there, prefer_installed=prefer).version
    except VersionUndecided:
        found = None
    assert found == expected


@given(CONSTRAINTS)
def test_the_lowest_that_fits_is_found_wherever_there_is_one(constraints: list[str]) -> None:
    read = [Constraint(c, "x", parse_constraint(c)) for c in constraints]
    all_of_them = [Version(*numbers) for numbers in itertools.product(range(5), repeat=3)]
    fitting = [v for v in all_of_them if all(satisfies(v, one.parts) for one in read)]
    assert lowest_that_fits(read) == min(fitting, default=None)


@pytest.mark.parametrize("pin_version", [None, "", "1.6.2", "~> 1.5"])
def test_the_program_that_is_asked_for_is_the_one_that_is_chosen(pin_version: str | None) -> None:
    """`named_program` says beforehand what `decide` chooses wherever that depends on no machine."""
    programs: tuple[Program | None, ...] = (None, "terraform", "tofu")
    files = [
        (),
        (file(OWN, "1.5.7"),),
        (file(TOP, "1.5.7"), file("envs/.opentofu-version", "1.6.2")),
    ]
    defaults = [None, *(Pin(v, "p", p) for v, p in itertools.product(("", "1.5.7"), programs))]
    one_each = {"terraform": versions("1.5.7", "1.6.2"), "tofu": versions("1.5.7", "1.6.2")}
    for own, asked, default in itertools.product(programs, files, defaults):
        pin = None if pin_version is None else Pin(pin_version, "p", own)
        question = Question("envs/prod", pin, asked, (), default)
        named = named_program(question)
        decision = decide(question, KnownVersions(one_each), prefer_installed=True)
        if named is not None:
            assert decision.program == named
        else:
            assert decision.program in (None, "terraform")
