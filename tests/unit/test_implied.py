"""Providers that a module uses without naming them."""

import json
import time

import pytest

from driftfleet.hcl import READ_BYTES, read_module

AWS = 'required_providers {\n  aws = { source = "acme/cloud" }\n}\n'


def providers(text: str, name: str = "main.tf") -> dict[str, str]:
    facts = read_module({name: text.encode()})
    assert facts.errors == ()
    return dict(facts.providers or {})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('resource "aws_instance" "a" {}', {"aws"}),
        ('data "http" "a" {\n  url = "x"\n}', {"http"}),
        ('ephemeral "vault_secret_thing" "a" {}', {"vault"}),
        ("resource aws_instance a {}", {"aws"}),
        ('resource "google_x" "a" {\n  provider = google-beta\n}', {"google-beta"}),
        ('resource "google_x" "a" {\n  provider = google-beta.west\n}', {"google-beta"}),
        ('resource "google_x" "a" {\n  provider = "google-beta.west"\n}', {"google-beta"}),
        ('resource "google_x" "a" {\n  x {\n    provider = other\n  }\n}', {"google"}),
        ('resource "google_x" "a" {\n  # provider = other\n}', {"google"}),
        ('resource "aws_x" "a" {}\nresource "google_x" "b" {\n provider = beta\n}',
         {"aws", "beta"}),
        ('check "up" {\n  data "http" "a" {}\n  assert {\n    condition = true\n  }\n}', {"http"}),
        ('check "up" {\n  data "http" "a" {\n    provider = web\n  }\n}', {"web"}),
        ('import {\n  to = aws_x.y\n  id = "1"\n  provider = cloud.west\n}', {"cloud"}),
        ('resource "terraform_data" "a" {}\ndata "terraform_remote_state" "b" {}', set()),
        ('module "aws_x" {\n  source = "./a"\n}\nvariable "aws_y" {}', set()),
        (f'terraform {{\n{AWS}}}\nresource "aws_x" "a" {{}}', {"acme/cloud"}),
        (f'terraform {{\n{AWS}}}\nresource "b_x" "a" {{\n  provider = aws.b\n}}', {"acme/cloud"}),
        ('provider "aws" {\n  version = "~> 2.0"\n}\nresource "aws_x" "a" {}', {"aws"}),
        ('resource "aws_x" "a" { provider = cloud }', {"cloud"}),
    ],
)  # fmt: skip
def test_a_type_implies_its_provider_unless_the_block_says_which(text: str, found: set) -> None:
    assert set(providers(text + "\n")) == found


def test_a_constraint_of_a_provider_block_stays() -> None:
    text = 'resource "aws_x" "a" {}\nprovider "aws" {\n  version = "~> 2.0"\n}\n'
    assert providers(text) == {"aws": "~> 2.0"}


@pytest.mark.parametrize(
    ("required", "blocks", "constraint"),
    [
        ('source = "acme/cloud"', ("~> 4.0", "< 4.5"), "~> 4.0, < 4.5"),
        ('source = "acme/cloud", version = "> 3"', ("~> 4.0", "~> 4.0"), "> 3, ~> 4.0"),
    ],
)
def test_constraints_of_provider_blocks_count_beside_required_providers(
    required: str, blocks: tuple[str, ...], constraint: str
) -> None:
    """As `terraform providers` of 1.11.4 prints them."""
    text = f"terraform {{\nrequired_providers {{\n  aws = {{ {required} }}\n}}\n}}\n"
    for number, version in enumerate(blocks):
        text += f'provider "aws" {{\n  alias = "a{number}"\n  version = "{version}"\n}}\n'
    assert providers(text) == {"acme/cloud": constraint}


def test_a_local_name_that_another_file_maps_is_that() -> None:
    facts = read_module(
        {
            "a.tf": b'resource "aws_x" "a" {}\n',
            "versions.tf": f"terraform {{\n{AWS}}}\n".encode(),
        }
    )
    assert facts.providers == {"acme/cloud": ""}


@pytest.mark.parametrize(
    "tree",
    [
        {"resource": {"aws_x": {"a": {}, "b": {"provider": "cloud.west"}}}},
        {"resource": [{"aws_x": {"a": {}}}, {"aws_x": [{"b": {"provider": "cloud"}}]}]},
        {"data": {"aws_x": {"a": {}}}, "check": {"c": {"data": {"cloud": {"b": {}}}}}},
    ],
)
def test_json_says_the_same(tree: dict) -> None:
    assert set(providers(json.dumps(tree), "a.tf.json")) == {"aws", "cloud"}


def test_a_type_without_resources_implies_nothing() -> None:
    assert providers('{"resource": {"aws_x": {}}}', "a.tf.json") == {}


def test_what_the_full_parser_reads_says_the_same() -> None:
    # Two blocks on one line are more than the scanner takes.
    text = 'resource "google_x" "a" {\n  provider = beta.west\n} \nlocals { a = "${"b" }" }\n'
    assert "beta" in providers(text)


@pytest.mark.parametrize("block", ['data "http" "a" {}\n', 'data "a" "b" {\n provider\n= x}\n'])
def test_a_hostile_file_takes_no_more_than_linear_time(block: str) -> None:
    body = block * (READ_BYTES // len(block) - 10)
    began = time.process_time()
    read_module({"a.tf": f'check "x" {{\n{body}}}\n'.encode()})
    read_module({"a.tf": body.encode()})
    assert time.process_time() - began < 20
