"""Reads Terraform's JSON syntax into the trees that `driftfleet.module_facts` knows."""

import json
from typing import Any

from driftfleet.module_facts import Body, bodies


class NotTerraformJson(Exception):
    """The text is no JSON, or nothing that terraform reads; ``line`` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(line, message)
        self.line = line
        self.message = message


def read_json(text: str) -> Body:
    """The tree of a file. Raises `NotTerraformJson`."""
    try:
        tree = json.loads(text, object_pairs_hook=_join_repeated)
    except json.JSONDecodeError as error:
        raise NotTerraformJson(error.lineno, f"not JSON: {error.msg}") from error
    except (RecursionError, ValueError) as error:
        message = "the file is nested too deeply, or holds a number too long"
        raise NotTerraformJson(1, message) from error
    if not isinstance(tree, dict):
        raise NotTerraformJson(1, "the file must hold a JSON object")
    return tree


def _join_repeated(pairs: list[tuple[str, Any]]) -> Body:
    """A repeated key is a repeated block: terraform reads them all, `dict` only the last."""
    tree: Body = {}
    joined: dict[str, list[Body]] = {}
    for key, value in pairs:
        if key == "//":
            continue
        if key not in tree:
            tree[key] = value
            continue
        blocks = joined.get(key)
        if not blocks:
            blocks = joined[key] = list(bodies(tree[key]))
        blocks.extend(bodies(value))
        tree[key] = blocks or value
    return tree
