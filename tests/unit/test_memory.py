"""What is remembered of repositories only ever spares requests."""

import ast
import importlib.util
import json
import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from producer.discovery import Discovery, Folder
from producer.memory import READERS, Memory, Remembered, _readers, discovery_key

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
SEEN = Remembered(
    full_name="acme/infra",
    asked_at=NOON,
    sha="a" * 40,
    discovery_key=discovery_key("a" * 40, (), ()),
    discovery=Discovery(
        folders=(Folder(path="envs/ü", kind="root", reason="has a backend block (s3)"),), digest="d"
    ),
)


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "repositories", "https://ghe.example.com/api/v3")


def test_what_was_noted_is_recalled_whatever_the_case_of_the_name(memory: Memory) -> None:
    assert memory.recall("acme/infra", "") is None
    memory.note("acme/infra", "", SEEN)
    assert memory.recall("Acme/Infra", "") == SEEN


def test_refs_keep_their_case_and_servers_stay_apart(memory: Memory, tmp_path: Path) -> None:
    memory.note("acme/infra", "v1", SEEN)
    assert memory.recall("acme/infra", "V1") is None
    assert memory.recall("acme/infra", "") is None
    other = Memory(tmp_path / "repositories", "https://api.github.com")
    assert other.recall("acme/infra", "v1") is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"sha": "x"}', b"\xff\xfe", b"null"])
def test_a_corrupt_file_is_as_none_and_is_written_anew(
    memory: Memory, tmp_path: Path, content: bytes
) -> None:
    memory.note("acme/infra", "", SEEN)
    (path,) = (tmp_path / "repositories").iterdir()
    path.write_bytes(content)
    assert memory.recall("acme/infra", "") is None
    memory.note("acme/infra", "", SEEN)
    assert memory.recall("acme/infra", "") == SEEN
    assert list((tmp_path / "repositories").iterdir()) == [path]


def test_one_that_was_changed_is_as_none_though_it_is_valid(memory: Memory, tmp_path: Path) -> None:
    memory.note("acme/infra", "", SEEN)
    (path,) = (tmp_path / "repositories").iterdir()
    whole = path.read_bytes()
    lost = json.loads(whole)
    lost["discovery"]["folders"] = []
    contents = [json.dumps(lost).encode(), json.dumps(json.loads(whole)).encode()]
    contents += [whole.replace(b"a" * 40, b"b" * 40), whole.replace(b'"root"', b'"child"')]
    for content in contents:
        assert content != whole
        path.write_bytes(content)
        assert memory.recall("acme/infra", "") is None
    path.write_bytes(whole)
    assert memory.recall("acme/infra", "") == SEEN


def test_one_that_lies_in_anothers_place_is_as_none(memory: Memory, tmp_path: Path) -> None:
    memory.note("acme/infra", "", SEEN)
    (first,) = (tmp_path / "repositories").iterdir()
    memory.note("acme/other", "", SEEN)
    (other,) = set((tmp_path / "repositories").iterdir()) - {first}
    other.write_bytes(first.read_bytes())
    assert memory.recall("acme/other", "") is None


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_changed_byte_is_believed(position: int, change: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        memory = Memory(Path(folder), "h")
        memory.note("acme/infra", "", SEEN)
        (path,) = Path(folder).iterdir()
        content = bytearray(path.read_bytes())
        content[position % len(content)] ^= change
        path.write_bytes(content)
        assert memory.recall("acme/infra", "") is None


@pytest.mark.parametrize("sha", ["", "HEAD", "a" * 39, "A" * 40, "a" * 40 + "\n", 'é"x\n'])
def test_what_is_no_commit_is_not_remembered(sha: str) -> None:
    with pytest.raises(ValidationError):
        Remembered(**{**SEEN.model_dump(), "sha": sha})


def test_a_folder_that_takes_nothing_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    memory = Memory(tmp_path / "file" / "repositories", "h")
    memory.note("acme/infra", "", SEEN)
    assert memory.recall("acme/infra", "") is None
    memory.forget_the_old()


def test_what_no_sweep_asked_for_in_90_days_is_forgotten_and_what_was_recalled_is_not(
    memory: Memory, tmp_path: Path
) -> None:
    memory.note("acme/old", "", SEEN)
    memory.note("acme/used", "", SEEN)
    for path in (tmp_path / "repositories").iterdir():
        os.utime(path, (0, 0))
    memory.recall("acme/used", "")
    memory.forget_the_old()
    assert memory.recall("acme/old", "") is None
    assert memory.recall("acme/used", "") == SEEN


def test_a_name_is_asked_for_again_after_a_day_and_when_a_clock_was_wrong() -> None:
    assert SEEN.is_fresh(NOON + timedelta(hours=23))
    assert not SEEN.is_fresh(NOON + timedelta(hours=25))
    assert not SEEN.is_fresh(NOON - timedelta(hours=1))


def test_a_discovery_is_of_a_commit_and_its_globs() -> None:
    keys = {
        discovery_key("a", (), ()),
        discovery_key("b", (), ()),
        discovery_key("a", ("x",), ()),
        discovery_key("a", (), ("x",)),
    }
    assert len(keys) == 4
    assert discovery_key("a", ("x",), ()) == discovery_key("a", ["x"], [])


def test_a_discovery_is_of_the_code_that_made_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = discovery_key("a", (), ())
    for name in READERS:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        changed = tmp_path / f"{name}.py"
        changed.write_bytes(Path(spec.origin).read_bytes() + b"# mended\n")
        other = importlib.util.spec_from_file_location(name, changed)
        find = importlib.util.find_spec
        with monkeypatch.context() as patch:
            patch.setattr(
                importlib.util,
                "find_spec",
                lambda n, o=other, m=name, f=find: o if n == m else f(n),
            )
            _readers.cache_clear()
            assert discovery_key("a", (), ()) != before, name
    _readers.cache_clear()
    assert discovery_key("a", (), ()) == before


def imports_of(name: str) -> set[str]:
    """The modules of ours that one imports."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_bytes())
    named = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {one for one in named if one.partition(".")[0] in ("driftfleet", "producer")}


def test_whatever_discovery_is_made_with_counts_as_its_code() -> None:
    """Where this fails add the module to `READERS`, or here where it decides nothing."""
    deciding_nothing = {"driftfleet.errors"}
    reached, waiting = set[str](), ["producer.discovery"]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting += imports_of(name) - reached
    assert reached - deciding_nothing <= set(READERS)
