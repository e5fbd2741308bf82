"""What ``deploy/kubernetes`` comes to: rendered by kubectl, held against schemas of its kinds."""

import functools
import json
import re
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import referencing
import yaml
from jsonschema import Draft202012Validator

from driftfleet.configuration import load_settings
from driftfleet.settings import Settings
from tests.binaries import crd_schema, kubectl, kubernetes_schemas

DEPLOY = Path(__file__).resolve().parents[1] / "deploy" / "kubernetes"
OVERLAYS = sorted(p.parent.name for p in DEPLOY.glob("overlays/*/kustomization.yaml"))
ROLES = ("beat", "producer", "worker", "flower")
each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)

_SCHEMAS = "kubernetes_validate/kubernetes-json-schema/v{}.0-local-strict"
_UNITS = {"": 1, "m": 0.001, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}

Object = dict[str, Any]


@functools.cache
def rendered(overlay: str) -> list[Object]:
    """The objects of an overlay, as ``kubectl apply -k`` would send them."""
    return render(DEPLOY / "overlays" / overlay)


def render(folder: Path) -> list[Object]:
    """The objects of a folder with a ``kustomization.yaml``."""
    done = subprocess.run(
        [kubectl(), "kustomize", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    # Warnings are of what will stop to work.
    assert (done.returncode, done.stderr) == (0, "")
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def of_kind(overlay: str, kind: str) -> dict[str, Object]:
    """By name."""
    return {o["metadata"]["name"]: o for o in rendered(overlay) if o["kind"] == kind}


def pods(overlay: str) -> dict[str, Object]:
    """By component, the templates of its pods."""
    found = [o["spec"]["template"] for o in rendered(overlay) if "template" in o.get("spec", {})]
    return {pod["metadata"]["labels"]["app.kubernetes.io/component"]: pod for pod in found}


def container(overlay: str, component: str) -> Object:
    """The one that the pod has."""
    (only,) = pods(overlay)[component]["spec"]["containers"]
    return dict(only)


def environment(overlay: str, component: str) -> dict[str, str]:
    """The variables that Kubernetes would set there."""
    maps = of_kind(overlay, "ConfigMap")
    found = {}
    for one in container(overlay, component)["env"]:
        source = one.get("valueFrom", {}).get("configMapKeyRef")
        found[one["name"]] = (
            one["value"] if not source else maps[source["name"]]["data"][source["key"]]
        )
    return found


def amount(text: str) -> float:
    """A quantity, in bytes or cores."""
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(text)).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit]


def settings_of(overlay: str, role: str, folder: Path) -> Settings:
    """What a pod would load."""
    (fleet,) = [m for m in of_kind(overlay, "ConfigMap").values() if "fleet.yaml" in m["data"]]
    (folder / "fleet.yaml").write_text(fleet["data"]["fleet.yaml"], encoding="utf-8")
    return load_settings(folder / "fleet.yaml", environment(overlay, role))


def faults(one: Object, version: str = "1.37") -> list[str]:
    """In what it is no object of its kind; a key that the kind doesn't have is one, too.

    ``version`` is Kubernetes'.
    """
    found = _validator(one, version).iter_errors(one)
    return [f"{error.json_path}: {error.message}" for error in found]


def _validator(one: Object, of_cluster: str) -> Draft202012Validator:
    group, _, version = one["apiVersion"].rpartition("/")
    if "." in group and not group.endswith(".k8s.io"):
        return Draft202012Validator(json.loads(crd_schema(one["kind"]).read_text()))
    parts = (one["kind"].lower(), *([group.partition(".")[0]] if group else []), version)
    return Draft202012Validator(
        _schema("-".join(parts), of_cluster), registry=_definitions(of_cluster)
    )


@functools.cache
def _definitions(of_cluster: str) -> referencing.Registry[Any]:
    contents = _schema("_definitions", of_cluster)
    return referencing.Resource.from_contents(contents) @ referencing.Registry()


@functools.cache
def _schema(name: str, of_cluster: str) -> Any:
    with zipfile.ZipFile(kubernetes_schemas()) as archive:
        return json.loads(archive.read(f"{_SCHEMAS.format(of_cluster)}/{name}.json"))


_REFERENCES = {
    "configMapKeyRef": ("ConfigMap", "name"),
    "configMap": ("ConfigMap", "name"),
    "configMapTargetRef": ("ConfigMap", "name"),
    "secret": ("Secret", "secretName"),
    "secretTargetRef": ("Secret", "name"),
    "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName"),
    "authenticationRef": ("TriggerAuthentication", "name"),
    "scaleTargetRef": ("Deployment", "name"),
}
_NAMES = {"serviceAccountName": "ServiceAccount", "serviceName": "Service"}


def references(one: Any) -> Iterator[tuple[str, str]]:
    """The kinds and names of other objects that it names."""
    for part in one if isinstance(one, list) else []:
        yield from references(part)
    for key, value in one.items() if isinstance(one, dict) else []:
        if key in _NAMES:
            yield _NAMES[key], value
        elif key in _REFERENCES:
            kind, name = _REFERENCES[key]
            for target in value if isinstance(value, list) else [value]:
                yield kind, target[name]
        else:
            yield from references(value)
