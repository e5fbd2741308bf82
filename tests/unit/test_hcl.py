"""What `driftfleet.hcl` reads from a folder's files, and what it says of files that are broken."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from driftfleet.blocks import Argument, Block, SyntaxDoubt, items, line_of
from driftfleet.hcl import (
    READ_BYTES,
    Allowance,
    ModuleFacts,
    ModuleReader,
    is_terraform_file,
    read_module,
)
from driftfleet.references import Reference, references_in


def read(text: str, name: str = "main.tf") -> ModuleFacts:
    return read_module({name: text.encode()})


TERRAFORM = """
terraform {
  required_version = ">= 1.5, < 2.0" # both ends
  required_providers {
    aws = {
      source  = "hashicorp/aws" // the cloud
      version = "~> 5.0"
      # version = "~> 4.0"
      configuration_aliases = [aws.east, aws.west]
    }
    random = { source = "hashicorp/random" }
    null   = "~> 3"
  }
  backend "s3" {
    bucket = "b"
  }
}
"""


class TestFacts:
    def test_a_terraform_block_says_version_providers_and_backend(self) -> None:
        facts = read(TERRAFORM)
        assert facts.required_version == (">= 1.5, < 2.0",)
        assert facts.providers == {
            "hashicorp/aws": "~> 5.0",
            "hashicorp/random": "",
            "null": "~> 3",
        }
        assert facts.backend == "s3"
        assert facts.errors == ()

    def test_a_required_version_has_its_file_and_line(self) -> None:
        files = {
            "a.tf": b'terraform {\n  required_version = ">= 1.0"\n}\n\n'
            b'terraform {\n  # required_version = "0.1"\n  required_version = "< 2"\n}\n',
            "b.tf": b"terraform { required_version = 1.5 }\n",
            "c.tf.json": b'{"terraform": {\n"required_version": "!= 1.3.0"}}',
        }
        found = read_module(files).required
        assert [(one.constraint, one.file, one.line) for one in found] == [
            (">= 1.0", "a.tf", 2),
            ("< 2", "a.tf", 7),
            ("1.5", "b.tf", 1),
            ("!= 1.3.0", "c.tf.json", 2),
        ]

    def test_an_override_file_replaces_the_constraints_of_all_others(self) -> None:
        block = 'terraform {{\n  required_version = "{}"\n}}\n'
        files = {
            "main.tf": block.format("= 1.2.3").encode(),
            "x_override.tf": block.format(">= 1.2.3").encode(),
        }
        assert read_module(files).required_version == (">= 1.2.3",)

    def test_json_says_the_same_as_the_native_syntax(self) -> None:
        tree = {
            "//": "a comment",
            "terraform": [
                {
                    "//": {"module": {"no": {"source": "./no"}}},
                    "required_version": ">= 1.5, < 2.0",
                    "required_providers": {
                        "aws": {"source": "hashicorp/aws", "version": "~> 5.0"},
                        "random": {"source": "hashicorp/random"},
                        "null": "~> 3",
                    },
                    "backend": {"s3": {"bucket": "b"}},
                }
            ],
        }
        (written,) = read(TERRAFORM).required
        assert (written.file, written.line) == (
            "main.tf",
            TERRAFORM[: TERRAFORM.index("required_version")].count("\n") + 1,
        )
        native, json_facts = read(TERRAFORM), read(json.dumps(tree), "main.tf.json")
        assert json_facts.required_version == native.required_version
        assert replace(json_facts, required=()) == replace(native, required=())

    @pytest.mark.parametrize(
        "tree",
        [
            '{"module": {"a": {"source": "./a"}, "b": {"source": "./b"}}}',
            '{"module": [{"a": {"source": "./a"}}, {"b": [{"source": "./b"}]}]}',
            '{"module": {"a": {"source": "./a"}}, "module": {"b": {"source": "./b"}}}',
        ],
        ids=["object", "list", "repeated key"],
    )
    def test_json_blocks_may_be_objects_lists_or_repeated_keys(self, tree: str) -> None:
        assert read(tree, "main.tf.json").local_sources == ("./a", "./b")

    def test_sources_are_told_apart_into_local_and_remote(self) -> None:
        facts = read(
            'module "a" {\n  source = "../a"\n}\n'
            'module "b" {\n  source = "./b//c"\n}\n'
            'module "c" {\n  source = "hashicorp/consul/aws"\n  version = "1.0"\n}\n'
            'module "d" {\n  source = "git::https://example.com/x.git?ref=v1"\n}\n'
            'module "again" {\n  source = "../a"\n}\n'
        )
        assert facts.local_sources == ("../a", "./b//c")
        assert facts.remote_sources == (
            "hashicorp/consul/aws",
            "git::https://example.com/x.git?ref=v1",
        )

    def test_only_a_modules_own_source_counts(self) -> None:
        facts = read(
            'module "a" {\n  x = { source = "./no" }\n  y {\n    source = "./nor"\n  }\n'
            '  source = "./yes"\n}\nlocals {\n  source = "./neither"\n}\n'
            '# module "b" { source = "./comment" }\n/* module "c" {\n source = "./old"\n} */\n'
            'locals {\n  text = <<EOF\nmodule "d" {\n  source = "./text"\n}\nEOF\n}\n'
        )
        assert facts.local_sources == ("./yes",)

    @pytest.mark.parametrize(
        ("written", "value"),
        [
            ('"./plain"', "./plain"),
            ('"./plain" # why', "./plain"),
            (r'"./a\u0062"', "./ab"),
            ('"./m-${local.kind}"', "./m-${local.kind}"),
        ],
    )
    def test_a_source_that_is_no_plain_string_goes_through_the_parser(
        self, written: str, value: str
    ) -> None:
        facts = read(f'module "a" {{\n  source = {written}\n}}\n')
        assert facts.local_sources + facts.remote_sources == (value,)
        assert facts.errors == ()

    def test_declares_lists_the_types_of_blocks(self) -> None:
        facts = read('resource "a" "b" {}\nvariable "x" {}\n#data "a" "b" {}\nlocals { a = 1 }\n')
        assert facts.declares == {"resource", "variable", "locals"}

    def test_an_empty_json_object_declares_nothing(self) -> None:
        assert read('{"resource": {}, "variable": {"x": {}}}', "a.tf.json").declares == {"variable"}

    def test_a_provider_blocks_version_counts_unless_the_provider_is_required(self) -> None:
        facts = read(
            'provider "google" {\n  version = "~> 3.0"\n}\nprovider "aws" {\n  alias = "x"\n}\n'
            'terraform {\n  required_providers {\n    aws = { source = "hashicorp/aws" }\n  }\n}\n'
        )
        assert facts.providers == {"google": "~> 3.0", "hashicorp/aws": ""}

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            ('backend "gcs" {}', "gcs"),
            ("backend local {}", "local"),
            ('cloud {\n organization = "o"\n}', "cloud"),
            ("cloud {}", "cloud"),
            ("experiments = []", None),
        ],
    )
    def test_the_backend_kind(self, body: str, kind: str | None) -> None:
        assert read(f"terraform {{\n{body}\n}}\n").backend == kind

    @pytest.mark.parametrize(
        ("body", "bucket"),
        [
            ('backend "s3" {\n  bucket = "states"\n  key = "a"\n}', "states"),
            ('backend "gcs" {\n  bucket = "states" # ours\n}', "states"),
            ('backend "azurerm" {\n  storage_account_name = "acct"\n  bucket = "no"\n}', "acct"),
            ('backend "s3" {\n  key = "a"\n}', ""),
            ('backend "s3" {\n  assume_role = {\n    bucket = "no"\n  }\n}', ""),
            ('backend "local" {\n  bucket = "no"\n}', ""),
            ('backend "s3" {\n  bucket = "${var.name}"\n}', ""),
            ('backend "s3" {\n  bucket = var.name\n}', ""),
            ('cloud {\n  bucket = "no"\n}', ""),
        ],
    )
    def test_where_the_backend_keeps_states(self, body: str, bucket: str) -> None:
        facts = read(f"terraform {{\n{body}\n}}\n")
        assert (facts.bucket, facts.errors) == (bucket, ())

    def test_an_override_file_has_the_last_word_on_the_backend(self) -> None:
        local, s3 = (f'terraform {{\n  backend "{k}" {{}}\n}}'.encode() for k in ("local", "s3"))
        assert read_module({"a_override.tf": local, "z.tf": s3}).backend == "local"
        assert read_module({"override.tf.json": b'{"module": {"a": {}}}'}) == ModuleFacts(
            providers={}, declares=frozenset({"module"})
        )

    @pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "/* nothing */"])
    def test_an_empty_file_is_no_error(self, text: str) -> None:
        assert read(text) == ModuleFacts(providers={})

    def test_a_byte_order_mark_and_crlf_change_nothing(self) -> None:
        windows = b"\xef\xbb\xbf" + TERRAFORM.replace("\n", "\r\n").encode()
        assert read_module({"main.tf": windows}) == read(TERRAFORM)

    def test_sources_only_finds_the_same_sources_and_no_more(self) -> None:
        text = TERRAFORM + 'module "a" {\n  source = "../a"\n  x = file("../x")\n}\n'
        facts = read_module({"main.tf": text.encode()}, sources_only=True)
        assert facts.local_sources == ("../a",)
        assert facts.references == (Reference("root", "../x", "../x", True),)
        assert facts.backend is None

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("main.tf", True),
            ("main.tf.json", True),
            ("main.tofu", False),
            (".#main.tf", False),
            ("main.tf~", False),
            ("#main.tf#", False),
            ("terraform.tfvars", False),
        ],
    )
    def test_names_that_terraform_reads(self, name: str, expected: bool) -> None:
        assert is_terraform_file(name) is expected


# A line that `terraform validate` 1.11 names in an error, and the text.
BROKEN = [
    (1, 'resource "a" "b" {\n  x = 1\n'),
    (3, "locals {\n\n  x = \n}\n"),
    (2, 'locals {\n  x = "abc\n}\n'),
    (3, "locals {\n x = [1,\n}\n"),
    (1, "not hcl\n"),
    (3, "\n\n}\n"),
    (2, "locals {\n x = 1 2\n}\n"),
    (1, "locals { a = 1, b = 2 }"),
    (2, "locals { a = 1 }\n } "),
    (5, 'terraform {\n}\nmodule "a" {\n  source = "./a"\n  x = = 2\n}\n'),
]


class TestErrors:
    @pytest.mark.parametrize(("line", "text"), BROKEN)
    def test_the_line_is_the_one_that_terraform_names(self, line: int, text: str) -> None:
        (error,) = read(text).errors
        assert (error.file, error.line) == ("main.tf", line)

    @pytest.mark.parametrize(("line", "text"), BROKEN)
    def test_the_message_is_one_short_line(self, line: int, text: str) -> None:
        (error,) = read(text).errors
        assert "\n" not in error.message
        assert 10 < len(error.message) < 100

    def test_a_message_never_quotes_the_file(self) -> None:
        (error,) = read('locals {\n  a = "hunter2" "hunter3"\n  hunter4\n}\n').errors
        assert "hunter" not in error.message

    def test_a_value_deep_in_a_file_has_its_line_in_the_file(self) -> None:
        text = "\n" * 9 + 'module "a" {\n  source = "./${"\n}\n'
        (error,) = read(text).errors
        assert error.line == 11

    def test_a_broken_file_hides_no_other(self) -> None:
        facts = read_module(
            {"a.tf": b"broken {", "b.tf": TERRAFORM.encode(), "c.tf": b"\n\xff", "d.tf.json": b"[]"}
        )
        assert [(e.file, e.line) for e in facts.errors] == [
            ("a.tf", 1),
            ("c.tf", 2),
            ("d.tf.json", 1),
        ]
        assert facts.backend == "s3"

    def test_json_errors_have_a_line(self) -> None:
        (error,) = read('{\n "module": {\n}', "a.tf.json").errors
        assert error.line == 3
        assert "JSON" in error.message

    def test_what_only_the_scanner_doubts_is_read_by_the_parser(self) -> None:
        doubted = 'locals {\n  text = "two\nlines"\n}\n'
        with pytest.raises(SyntaxDoubt):
            list(items(doubted))
        facts = read(doubted + 'module "a" {\n  source = "./a"\n}\n' + TERRAFORM)
        assert facts.local_sources == ("./a",)
        assert facts.backend == "s3"
        assert facts.errors == ()

    @pytest.mark.parametrize(
        "text",
        [
            "a = " + "[" * 400_000,
            "a = " + "[" * 60_000 + "]" * 60_000 + "\nbroken",
            'a = "' + '${"' * 100_000,
            "a {" * 200_000,
            "a " * 300_000,
            "a = <<A\n" + "\n" * 200_000,
            "a = <<A\n" + "\n" * 200_000 + "x\nA\n}",
            "a = [ " + "/* " * 300_000,
            'a = "' + "$" * 1_000_000 + "{",
            "a = [" + "<<A " * 100_000,
            ("a = <<A\nx\n\n  A\n") * 20_000 + "}",
            'module "a" {\n  source = ' + "(" * 40_000 + ")" * 40_000 + "\n}\n",
            'module "a" {\n  source = <<A\n' + "\n" * 100_000 + "x\nA\n}\n",
        ],
        ids=lambda text: repr(text[:12]),
    )
    def test_a_hostile_file_is_an_error_in_bounded_time(self, text: str) -> None:
        started = time.process_time()
        facts = read(text)
        assert len(facts.errors) == 1
        assert time.process_time() - started < 10

    def test_deep_json_is_an_error(self) -> None:
        assert len(read('{"a":' * 100_000, "a.tf.json").errors) == 1
        assert len(read("[" * 100_000 + "]" * 100_000, "a.tf.json").errors) == 1

    def test_a_huge_file_is_an_error_and_is_not_read(self) -> None:
        facts = read_module({"a.tf": b"#" * (READ_BYTES + 1)})
        (error,) = facts.errors
        assert "larger than 2 MiB" in error.message
        assert facts.skipped == (error,)

    @pytest.mark.parametrize("text", ['{"module": {"a": {"source": "./\\ud800"}}}'])
    def test_half_a_character_can_still_be_stored(self, text: str) -> None:
        (source,) = read(text, "a.tf.json").local_sources
        source.encode()

    def test_the_parser_is_not_loaded_for_ordinary_files(self, tmp_path: Path) -> None:
        (tmp_path / "main.tf").write_text(TERRAFORM + 'module "a" {\n  source = "./a"\n}\n')
        program = (
            "import sys; from pathlib import Path; from driftfleet.hcl import read_module;"
            "read_module({'main.tf': Path(sys.argv[1]).read_bytes()}); print('hcl2' in sys.modules)"
        )
        run = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "main.tf")],
            stdout=subprocess.PIPE,
            check=True,
        )
        assert run.stdout == b"False\n"


def filled(before: str, unit: str, after: str = "\n") -> str:
    """A text of `READ_BYTES` that repeats ``unit``."""
    return before + unit * ((READ_BYTES - len(before) - len(after)) // len(unit)) + after


class TestBounds:
    @pytest.mark.parametrize(
        "text",
        [
            filled('a = "', "$a", '"\n'),
            filled('a = "', "\\\\", '"\n'),
            filled("", "#\n"),
            filled("", "/**/ "),
            filled("/*", "* ", "*/\n"),
            filled("a ", "b "),
            filled('a "', "$a", '" {\n}\n'),
            filled("a = [", '"",', "]\n"),
            filled("a = (\n", "if ", ")\n"),
            filled("a = ", "["),
            filled("", "a {\n"),
            filled('module "m" {\n  source = {', "a=[a] ", "}\n}\n"),
            filled("", "a {}\n"),
        ],
        ids=lambda text: repr(text[:12]),
    )
    def test_a_file_takes_little_memory_whatever_is_in_it(self, text: str) -> None:
        content = text.encode()
        tracemalloc.start()
        read_module({"a.tf": content})
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak_bytes < 16 * len(content)

    @pytest.mark.parametrize(
        "text",
        [
            'locals {\n  a = "' + "$a" * 30_000 + '"\n}\n',
            'locals {\n  a = "' + "$a" * 30_000 + '${b}"\n}\n',
            "locals {\n  a = [" + '"b",\n' * 30_000 + "]\n}\n",
            "# a comment\n" * 30_000,
            "/*" + " * a line\n" * 30_000 + "*/\n",
            "locals {\n  a = (b +\n" + "# a comment\n" * 30_000 + "c)\n}\n",
        ],
        ids=lambda text: repr(text[:24]),
    )
    def test_what_is_merely_long_is_read(self, text: str) -> None:
        facts = read(text + 'module "a" {\n  source = "./a"\n}\n')
        assert (facts.local_sources, facts.errors) == (("./a",), ())

    def test_repeated_json_keys_take_linear_time(self) -> None:
        blocks = 80_000
        text = "{" + ",".join(f'"module": {{"m{n}": {{}}}}' for n in range(blocks)) + "}"
        started = time.process_time()
        assert read(text, "a.tf.json").declares == {"module"}
        assert time.process_time() - started < 10

    def test_references_on_one_line_take_linear_time(self) -> None:
        text = '"../a",' * 600_000
        started = time.process_time()
        assert len(set(references_in(text))) == 1
        assert list(references_in("# " + text)) == []
        assert time.process_time() - started < 15

    def test_a_parser_is_asked_about_so_many_values_of_a_file(self) -> None:
        call = 'module "a" {\n  source = "${x}"\n}\n'
        facts = read(call * 30_000)
        (error,) = facts.skipped
        assert error.line == 3 * 1000 + 2
        assert "are no plain strings" in error.message
        assert read(call * 100).errors == ()

    def test_a_parser_is_asked_about_so_many_bytes_of_a_repository(self) -> None:
        allowance = Allowance(parsed_bytes_left=100)
        texts = ['module "a" {\n  source = "${x}"\n}\n'] * 8
        files = []
        for text in texts:
            reader = ModuleReader(allowance)
            reader.read("a.tf", text.encode())
            files.append(reader.facts())
        assert [len(facts.skipped) for facts in files] == [0] * 7 + [1]
        assert "too much to read in other files" in files[-1].errors[0].message

    def test_what_is_nested_beyond_reason_is_not_parsed(self) -> None:
        for text in ("a = " + "[" * 1001 + "]" * 1001, "a {\n" * 1001 + "}\n" * 1001):
            (error,) = read(text).skipped
            assert "nested more than 1,000 levels" in error.message
        assert read("a = " + "[" * 1000 + "]" * 1000).errors == ()

    @pytest.mark.parametrize(
        "line", ['x = "../a{}"', "b{} {{}}", 'module "m{0}" {{\n  source = "./a{0}"\n}}']
    )
    def test_a_folder_names_so_many_things(self, line: str) -> None:
        text = "\n".join(line.format(n) for n in range(20_001)).encode()
        facts = read_module({"a.tf": text, "b.tf": b'provider "b" {}'})
        (error,) = facts.skipped
        assert error.file == "a.tf"
        assert "more than 20,000" in error.message
        assert facts.providers == {}

    def test_errors_of_a_folder_are_counted(self) -> None:
        files = {f"{n}.tf": b"{" for n in range(300)}
        assert len(read_module(files).errors) == 100


class TestReferences:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ('file("${path.module}/../a.txt")', ("module", "../a.txt", True)),
            ('file("${path.root}/a/b.txt")', ("root", "a/b.txt", True)),
            ('file("a.txt")', ("root", "a.txt", True)),
            ('templatefile( "../t/${var.x}.tpl", {})', ("root", "../t", True)),
            ('filebase64sha256("${ path.cwd }/../z.zip")', ("root", "../z.zip", True)),
            ('fileset("${path.module}/../d", "**")', ("module", "../d", True)),
            ('"${path.module}/../../${var.env}.json"', ("module", "../..", True)),
            ('"${path.module}/x/${var.env}.json"', ("module", "x", True)),
            ('"../lambda"', ("either", "../lambda", False)),
            ('"${local.b}/../x"', ("either", "../x", False)),
            ('format("%s/../x", local.a)', ("either", "../x", False)),
        ],
    )
    def test_a_literal_path_is_found(self, text: str, expected: tuple[str, str, bool]) -> None:
        (found,) = references_in(f"x = {text}\n")
        assert (found.base, found.path, found.certain) == expected

    def test_of_a_pattern_the_folder_before_it_is_named_too(self) -> None:
        found = {(r.base, r.path) for r in references_in('fileset(".", "../s/{a,b}/*.yaml")')}
        assert found == {
            ("root", "."),
            ("either", "../s"),
            ("either", "../s/{a,b}/*.yaml"),
        }

    @pytest.mark.parametrize(
        "text",
        [
            'file("/etc/passwd")',
            'file("")',
            'profile("a.txt")',
            'x = "${var.x}/a"',
            "each.path.module",
            "path.modules",
            'x = "a/../b"',
            '# file("../a")',
            '  // "../a"',
            "file(var.x)",
        ],
    )
    def test_what_is_no_literal_path_is_not(self, text: str) -> None:
        assert list(references_in(text)) == []

    @pytest.mark.parametrize(
        ("text", "base"),
        [
            ('file("${var.x}/a")', "root"),
            ('fileexists("${var.x}")', "root"),
            ('fileset(path.module, "*")', "module"),
            ("d = path.root", "root"),
            ('join("/", [path.cwd, "a"])', "root"),
            ('file("${path.module}/${var.x}")', "module"),
            ('"${path.module}/."', "module"),
        ],
    )
    def test_of_a_path_whose_beginning_is_not_known_the_whole_folder_is(
        self, text: str, base: str
    ) -> None:
        (found,) = references_in(f"x = {text}\n")
        assert (found.base, found.path, found.certain) == (base, ".", True)

    @pytest.mark.parametrize(
        ("text", "path"),
        [
            ('d = "./../policies"', "../policies"),
            ('file(/* why */ "../a")', "../a"),
            ('file( # why\n  "../a")', "../a"),
            ('x = "--from=${path.module}/../a"', "../a"),
            ('x = <<-E\n  # ${file("../a")}\nE', "../a"),
        ],
    )
    def test_they_are_found_in_odd_places(self, text: str, path: str) -> None:
        (found,) = references_in(f"{text}\n")
        assert found.path == path

    def test_they_are_found_in_json_too(self) -> None:
        text = json.dumps({"locals": {"a": '${file("${path.module}/../a")}'}})
        (found,) = read(text, "a.tf.json").references
        assert (found.base, found.path) == ("module", "../a")

    def test_a_local_source_is_no_reference(self) -> None:
        assert read('module "a" {\n  source = "../a"\n}\n').references == ()


# --- the scanner, against text that is put together from known parts --------------------------

names = st.from_regex(r"[a-z_][a-z0-9_-]{0,5}", fullmatch=True).filter(
    lambda name: name not in ("for", "in", "if")
)
trivia = st.sampled_from(["", " ", "\n", "  \n", "# } {\n", '// "\n', '/* } \n " */'])
strings = st.text(
    st.characters(codec="utf-8", exclude_characters='"\\$%\n\r\x00', exclude_categories=["Cc"]),
    max_size=8,
)
terms = st.one_of(
    names,
    st.integers(0, 999).map(str),
    strings.map('"{}"'.format),
    st.sampled_from([r'"\"}"', '"$${x}"', '"%"', '"${x}"', "x[0].y", "-1", "!a"]),
    strings.filter(lambda text: text.strip() not in ("END", "")).map(
        lambda text: f'<<-END\n{text}\n}} "\n  END'
    ),
)


def _extend(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    # A heredoc ends with a line of its own: what follows it stands on the next one.
    def join(parts: list[str], separator: str) -> str:
        return separator.join(part + "\n" if "<<-" in part else part for part in parts)

    lists = st.lists(inner, max_size=3)
    return st.one_of(
        lists.map(lambda parts: f"[{join(parts, ', ')}]"),
        lists.map(lambda parts: f"f({join(parts, ', ')})"),
        st.tuples(names, inner).map(lambda pair: f"{{\n {pair[0]} = {pair[1]}\n}}"),
        inner.filter(lambda text: "\n" not in text).map(lambda text: f'"a ${{{text}}} b"'),
    )


expressions = st.recursive(terms, _extend, max_leaves=5)
arguments = st.tuples(names, expressions)


def _render_body(body: list[tuple[str, str]]) -> str:
    return "".join(f"  {name} = {value}\n" for name, value in body)


blocks = st.tuples(names, st.lists(names, max_size=2), st.lists(arguments, max_size=3), trivia)


class TestScanner:
    @given(st.lists(blocks, max_size=4))
    def test_it_finds_the_blocks_that_were_written(
        self, written: list[tuple[str, list[str], list[tuple[str, str]], str]]
    ) -> None:
        text, expected = "", []
        for kind, labels, body, space in written:
            head = " ".join([kind, *(f'"{label}"' for label in labels)])
            text += f"{space}\n{head} {{\n{_render_body(body)}{space}\n nested {{}}\n}}\n"
            expected.append((kind, tuple(labels), body))
        found = []
        for block in items(text):
            assert isinstance(block, Block)
            inner = [i for i in items(text, block.body) if isinstance(i, Argument)]
            values = [(i.name, text[i.value : i.end]) for i in inner]
            found.append((block.type, block.labels, values))
        assert found == expected

    @pytest.mark.parametrize(
        "text",
        [
            "locals { a = f(x) }",
            "locals { a = 1 }",
            "locals { a = x ? 1 : -2 } # why",
            "locals {\n  a = 1 + 2 # why\n  b = !x && y != z || 1 <2\n}",
            "locals {\n  a = [for k, v in m : k if v]\n  b = {for k in m: k => k...}\n}",
            'locals {\n  a = "%{ if x }a%{ else }${"b"}%{ endif ~}"\n}',
            "locals {\n  a = provider::x::y(1)\n  b = x.*.y[*].z\n  c = 1 / 2 / 3\n}",
            "locals {\n  a = x /* one\n two */ + 1\n  b = (\n    x\n    + 1\n  )\n}",
            "locals {\n  a = f(<<-A\n  }\n  A\n  , <<B\n  {\n  B\n  )\n}",
            'x y "z" {}',
            "größe {\n  ä = 1\n}",
        ],
    )
    def test_terraforms_syntax_is_not_doubted(self, text: str) -> None:
        (block,) = items(text)
        assert isinstance(block, Block)

    @given(st.lists(arguments, min_size=1, max_size=3))
    def test_a_block_that_lost_its_brace_is_doubted(self, body: list[tuple[str, str]]) -> None:
        text = f"locals {{\n{_render_body(body)}"
        with pytest.raises(SyntaxDoubt) as doubt:
            list(items(text))
        assert 1 <= line_of(text, doubt.value.offset) <= text.count("\n") + 1

    @given(st.binary(max_size=200))
    @example(b'"')
    @example(b"\xef\xbb\xbfa{")
    @settings(max_examples=300)
    def test_random_bytes_never_raise(self, content: bytes) -> None:
        for name in ("a.tf", "a.tf.json"):
            facts = read_module({name: content})
            assert all(error.line >= 1 for error in facts.errors)

    @given(st.text('abmodule source="./{}[]()<$%\\#*\n,', max_size=80))
    @settings(max_examples=500)
    def test_random_text_of_hcls_own_characters_never_raises(self, text: str) -> None:
        facts = read(f'module "a" {{\n source = {text}\n}}\n')
        lines = text.count("\n") + 5
        assert all(1 <= error.line <= lines for error in facts.errors)


def test_terraform_agrees_on_which_lines_are_broken(tmp_path: Path) -> None:
    terraform = shutil.which("terraform")
    if terraform is None:
        assert not os.environ.get("CI"), "terraform must be on the PATH"
        pytest.skip("terraform is not on the PATH")
    for line, text in BROKEN:
        (tmp_path / "main.tf").write_text(text)
        run = subprocess.run(
            [terraform, "validate", "-no-color"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={"CHECKPOINT_DISABLE": "1", "HOME": str(tmp_path)},
        )
        assert run.returncode == 1
        lines = {int(found) for found in re.findall(r"main\.tf line (\d+)", run.stderr)}
        assert line in lines, (text, run.stderr)
