"""Defaults, then ``fleet.yaml``, then ``DRIFTFLEET_SECTION__KEY`` -> one frozen `Settings`.

This is the one module that reads the environment, and only when it is called.
"""

import json
import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any

import yaml
from pydantic import SecretStr, ValidationError

from driftfleet.errors import ConfigurationError
from driftfleet.settings import Settings
from driftfleet.settings_errors import Location, explain, filled, model_in

PREFIX = "DRIFTFLEET_"
CONFIG_VARIABLE = "DRIFTFLEET_CONFIG"


def load_settings(
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Build the settings: defaults, file, environment, then ``overrides``.

    ``overrides`` maps ``section.key`` to a value. ``config`` falls back to ``DRIFTFLEET_CONFIG``,
    then to ``fleet.yaml`` in the current folder where there is one. Relative paths in a file count
    from the file, elsewhere from the current folder.

    Raises
    ------
    ConfigurationError
        The file can't be read or parsed, a key is unknown (it and the nearest valid one are
        named), or a value doesn't fit; or the current folder is gone.
    """
    environment = os.environ if environment is None else environment
    here = current_folder()
    path, name_of_file = _config_path(config, environment)
    tree = filled(_read_file(path)) if path else {}
    _anchor(tree, path.parent if path else here)
    origins: dict[Location, str] = {}
    for name, keys, value in _environment_values(environment):
        _put(tree, keys, value, name)
        origins[tuple(keys)] = name
    for dotted, value in (overrides or {}).items():
        _put(tree, dotted.split("."), value, dotted)
        origins[tuple(dotted.split("."))] = "the command line"
    tree = filled(tree)
    _anchor(tree, here)
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        origin = partial(_origin, origins, name_of_file if path else "the settings")
        raise ConfigurationError(explain(error, origin)) from error


def current_folder() -> Path:
    """The current folder. Raises `ConfigurationError` where it was deleted meanwhile."""
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigurationError(
            f"the current folder can't be found ({error.strerror}): it may have been deleted; "
            "change to one that is there"
        ) from error


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables from which `load_settings` builds the same settings in another process.

    They carry the broker's password: hand them over as an environment, write them nowhere.
    """
    tree = settings.model_dump(mode="json", exclude_none=True)
    flat: dict[str, str] = {}
    for section, value in tree.items():
        items = value.items() if isinstance(value, dict) else [(None, value)]
        for key, inner in items:
            name = f"{PREFIX}{section}" if key is None else f"{PREFIX}{section}__{key}"
            text = inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False)
            flat[name.upper()] = text
    return flat


def config_file(config: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The file that `load_settings` reads; None where there is none."""
    return _config_path(config, environment)[0]


def _config_path(config: Path | None, environment: Mapping[str, str]) -> tuple[Path | None, str]:
    if config is not None:
        return config.absolute(), str(config)
    if named := environment.get(CONFIG_VARIABLE):
        return Path(named).absolute(), f"{named} (from {CONFIG_VARIABLE})"
    implied = Path("fleet.yaml")
    # A folder, too: Docker makes one where a file to mount is missing. Reading it says so.
    return (implied.absolute(), "fleet.yaml") if implied.exists() else (None, "")


def _read_file(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8 text") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: is not YAML: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigurationError(f"{path}: must be a mapping with keys such as 'worker:'")
    return tree


def _environment_values(environment: Mapping[str, str]) -> Iterator[tuple[str, list[str], Any]]:
    for name, text in sorted(environment.items()):
        section, _, key = name.removeprefix(PREFIX).lower().partition("__")
        known = name.startswith(PREFIX) and section in Settings.model_fields
        # Set to nothing is not set: so are variables left by templates and compose files.
        if known and text and (key or section in ("variants", "repositories")):
            keys = [section, key] if key else [section]
            yield name, keys, text if _is_text(keys) else _value(text)


def _is_text(keys: list[str]) -> bool:
    """Whether a setting takes the text as it is: paths and URLs may look like YAML."""
    model: Any = Settings
    for key in keys[:-1]:
        model = model_in(model.model_fields[key].annotation)
    field = model.model_fields.get(keys[-1])
    annotation = field.annotation if field else None
    kinds = set(getattr(annotation, "__args__", (annotation,))) - {NoneType}
    return bool(kinds) and all(kind in (str, Path, SecretStr) for kind in kinds)


def _value(text: str) -> Any:
    """Read a variable as YAML, so that lists and numbers work; what isn't YAML is plain text."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _put(tree: dict[str, Any], dotted: list[str], value: Any, origin: str) -> None:
    for part in dotted[:-1]:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise ConfigurationError(f"{origin}: '{part}' is no mapping in the configuration file")
    tree[dotted[-1]] = value


def _anchor(tree: dict[str, Any], base: Path) -> None:
    """Make relative paths absolute, in place; what is absolute or ill-typed stays for pydantic."""
    worker = tree.get("worker")
    if isinstance(worker, dict):
        for key in ("mirror", "writable_root"):
            if isinstance(worker.get(key), str | Path):
                worker[key] = _absolute(base, worker[key])
        terraform = worker.get("terraform")
        if isinstance(terraform, str) and "/" in terraform:
            worker["terraform"] = str(_absolute(base, terraform))
        for key in ("local_roots", "isolation_shows"):
            if isinstance(worker.get(key), list | tuple):
                worker[key] = [_absolute(base, path) for path in worker[key]]
    for name, key in (("cache", "folder"), ("installs", "folder"), ("broker", "ca_file")):
        section = tree.get(name)
        if isinstance(section, dict) and isinstance(section.get(key), str | Path):
            section[key] = _absolute(base, section[key])
    github = tree.get("github")
    app = github.get("app") if isinstance(github, dict) else None
    places = (
        (tree.get("results"), "store"),
        (github, "token"),
        (app, "private_key"),
        (tree.get("flower"), "password"),
        (tree.get("broker"), "password"),
    )
    for section, key in places:
        if isinstance(section, dict) and isinstance(section.get(key), str):
            scheme, _, path = section[key].partition("://")
            if scheme == "file":
                section[key] = f"file://{_absolute(base, path)}"


def _absolute(base: Path, path: str | Path) -> Path:
    try:
        own = Path(str(path)).expanduser()
    except RuntimeError as error:
        raise ConfigurationError(f"{path}: nobody knows the home folder that it names") from error
    # Not resolved: a path in an error should be the one that was written.
    return Path(os.path.normpath(base / own))


def _origin(origins: Mapping[Location, str], file: str, location: Location) -> str:
    """Where a setting was written: its variable, else the file."""
    for length in (2, 1):
        if (name := origins.get(location[:length])) is not None:
            return name
    # What is wrong with a whole section may be in any of them.
    names = [name for keys, name in origins.items() if keys[: len(location)] == location]
    return ", ".join([file, *dict.fromkeys(names)])


def process_environment() -> dict[str, str]:
    """A copy of this process's environment, for what is to be handed on."""
    return dict(os.environ)


def drop_variable(name: str) -> None:
    """Take a variable from this process, so that nothing that runs in it obeys it."""
    os.environ.pop(name, None)
