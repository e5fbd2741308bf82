"""Settings: defaults, then ``fleet.yaml``, then ``DRIFTFLEET_SECTION__KEY`` -> one frozen object.

This is the one module that reads the environment, and only when it is called.
"""

import difflib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    field_serializer,
    model_validator,
)

from driftfleet.errors import ConfigurationError
from driftfleet.jobs import Limits, Variant
from driftfleet.model import Record

_REPOSITORY = re.compile(r"[A-Za-z0-9_][\w.-]*/(?!\.{1,2}\Z)[\w.-]+", re.ASCII)
PREFIX = "DRIFTFLEET_"
CONFIG_VARIABLE = "DRIFTFLEET_CONFIG"
# What providers need to find their credentials, their proxy and their certificates.
PLAN_ENVIRONMENT = (
    "AWS_*", "GOOGLE_*", "ARM_*", "TF_VAR_*",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "TZ",
)  # fmt: skip


class BrokerSettings(Record):
    """Redis, through which jobs travel. Without a URL only `scan` works: it starts its own."""

    url: SecretStr | None = None
    visibility_timeout_seconds: int = Field(default=120, ge=10)
    # What Flower listens to.
    events: bool = True

    @field_serializer("url", when_used="json")
    def _reveal(self, url: SecretStr | None) -> str | None:
        return url.get_secret_value() if url else None


class ResultSettings(Record):
    """Where results are kept: ``file://DIR``."""

    # Absolute at once: a worker that is told of it has another current folder.
    store: str = Field(default_factory=lambda: f"file://{Path.cwd() / 'drift-results'}")


class DiscoverySettings(Record):
    """Globs over folders, relative to the repository's top; ``exclude`` wins over ``include``."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class GitHubApp(Record):
    """A GitHub App's installation, as a second way to authenticate.

    ``private_key`` is the URL of a secret that holds the PEM.
    """

    id: int
    installation: int
    private_key: str


class GitHubSettings(Record):
    """Where the repositories are, and as whom we ask.

    ``url`` is what a browser shows: ``https://HOST`` of an Enterprise Server, or
    ``https://github.com``. ``token`` is the URL of a secret (`driftfleet.secrets`), never the
    secret. ``patience_seconds`` is how long a command waits for a rate limit to pass, a worker
    waits ``worker_patience_seconds`` and then gives the job back for later.
    """

    url: str | None = None
    api_url: str | None = None
    token: str | None = None
    app: GitHubApp | None = None
    connections: int = Field(default=12, ge=1, le=16)
    timeout_seconds: float = Field(default=30, gt=0)
    patience_seconds: float = Field(default=900, ge=0)
    worker_patience_seconds: float = Field(default=15, ge=0)

    @model_validator(mode="after")
    def _authenticates_once(self) -> Self:
        if self.token is not None and self.app is not None:
            raise ValueError("has both 'token' and 'app': name the one to authenticate with")
        if self.token is not None and "://" not in self.token:
            # Not quoted: somebody has most likely written the token itself.
            raise ValueError(
                "'token' must be where the token is kept: env://NAME, file://PATH or "
                "secretsmanager://NAME#KEY; never the token itself"
            )
        return self


class RepositoryRule(Record):
    """Repositories to watch: one (``repo: owner/name``, at ``ref``) or those of an ``org``.

    Of an organisation: those with any of ``topics``, any of ``languages`` (GitHub's main one), and
    a name that one of ``include`` (globs) matches and none of ``exclude``. Empty means any.
    """

    repo: str | None = None
    ref: str = ""
    org: str | None = None
    topics: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    archived: bool = False
    forks: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        """A plain ``owner/name`` or ``owner/name@ref`` is a rule, too."""
        if not isinstance(value, str):
            return value
        repo, _, ref = value.partition("@")
        return {"repo": repo, "ref": ref}

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.repo is None) == (self.org is None):
            raise ValueError("must name either 'repo' (owner/name) or 'org'")
        if self.repo is not None and not _REPOSITORY.fullmatch(self.repo):
            raise ValueError(f"'{self.repo}' is no repository's name: it is owner/name")
        return self


class CacheSettings(Record):
    """What was fetched and never changes: blobs and trees by their hash, module repositories.

    ``folder``: without one a worker uses ``cache`` in its writable root, a command
    ``$XDG_CACHE_HOME/driftfleet``. Where more than ``blobs_at_most`` blobs are missing an archive
    is fetched instead, unless they are fewer than ``small_share_at_most`` and under
    ``small_share`` of the repository's bytes.
    """

    folder: Path | None = None
    limit_bytes: int = Field(default=4 << 30, ge=1 << 20)
    blobs_at_most: int = Field(default=150, ge=0)
    small_share: float = Field(default=0.1, ge=0, le=1)
    small_share_at_most: int = Field(default=1000, ge=0)
    member_bytes: int = Field(default=64 << 20, gt=0)
    archive_bytes: int = Field(default=4 << 30, gt=0)


class VariantRule(Record):
    """The variants of every root that ``root`` (a glob) matches."""

    root: str
    variants: tuple[Variant, ...] = Field(min_length=1)


class WorkerSettings(Record):
    """How a worker plans. ``writable_root`` is the only place it writes to.

    ``mirror`` is an unpacked provider mirror, the folder that holds ``registry.terraform.io``.
    ``local_roots`` are the folders from which jobs of kind `local` may take files; none by default.
    """

    concurrency: int = Field(default_factory=lambda: len(os.sched_getaffinity(0)), ge=1)
    writable_root: Path = Field(
        default_factory=lambda: Path(tempfile.gettempdir()) / f"driftfleet-{os.getuid()}"
    )
    terraform: str = "terraform"
    mirror: Path | None = None
    local_roots: tuple[Path, ...] = ()
    environment: tuple[str, ...] = PLAN_ENVIRONMENT
    gogc: int = Field(default=400, ge=10)
    gogc_free_bytes: int = Field(default=1 << 30, ge=0)
    parallelism: int = Field(default=10, ge=1)
    output_bytes: int = Field(default=256 << 20, gt=0)
    stop_grace_seconds: float = Field(default=2.0, ge=0)
    complete_lock_files: bool = True


class LogSettings(Record):
    """``auto``: readable on a terminal, JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "text"] = "auto"


class Settings(Record):
    """Everything that a fleet can be told."""

    broker: BrokerSettings = BrokerSettings()
    results: ResultSettings = Field(default_factory=ResultSettings)
    discovery: DiscoverySettings = DiscoverySettings()
    github: GitHubSettings = GitHubSettings()
    repositories: tuple[RepositoryRule, ...] = ()
    cache: CacheSettings = CacheSettings()
    variants: tuple[VariantRule, ...] = ()
    limits: Limits = Limits()
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    logs: LogSettings = LogSettings()


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
        named), or a value doesn't fit.
    """
    environment = os.environ if environment is None else environment
    path, origin = _config_path(config, environment)
    tree = _read_file(path) if path else {}
    _anchor(tree, path.parent if path else Path.cwd())
    for name, keys, value in _environment_values(environment):
        _put(tree, keys, value, name)
    for dotted, value in (overrides or {}).items():
        _put(tree, dotted.split("."), value, dotted)
    _anchor(tree, Path.cwd())
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        where = origin if path else "the settings"
        raise ConfigurationError(_explain(error, where)) from error


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


def _config_path(config: Path | None, environment: Mapping[str, str]) -> tuple[Path | None, str]:
    if config is not None:
        return config.absolute(), str(config)
    if named := environment.get(CONFIG_VARIABLE):
        return Path(named).absolute(), f"{named} (from {CONFIG_VARIABLE})"
    implied = Path("fleet.yaml")
    return (implied.absolute(), "fleet.yaml") if implied.is_file() else (None, "")


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
        if known and (key or section in ("variants", "repositories")):
            keys = [section, key] if key else [section]
            yield name, keys, text if _is_text(keys) else _value(text)


def _is_text(keys: list[str]) -> bool:
    """Whether a setting takes the text as it is: paths and URLs may look like YAML."""
    model: Any = Settings
    for key in keys[:-1]:
        model = _model_in(model.model_fields[key].annotation)
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
        if isinstance(worker.get("local_roots"), list | tuple):
            worker["local_roots"] = [_absolute(base, p) for p in worker["local_roots"]]
    cache = tree.get("cache")
    if isinstance(cache, dict) and isinstance(cache.get("folder"), str | Path):
        cache["folder"] = _absolute(base, cache["folder"])
    github = tree.get("github")
    app = github.get("app") if isinstance(github, dict) else None
    for section, key in ((tree.get("results"), "store"), (github, "token"), (app, "private_key")):
        if isinstance(section, dict) and isinstance(section.get(key), str):
            scheme, _, path = section[key].partition("://")
            if scheme == "file":
                section[key] = f"file://{_absolute(base, path)}"


def _absolute(base: Path, path: str | Path) -> Path:
    # Not resolved: a path in an error should be the one that was written.
    return Path(os.path.normpath(base / Path(str(path)).expanduser()))


def _explain(error: ValidationError, where: str) -> str:
    lines = [_explain_one(dict(e)) for e in error.errors(include_input=False)]
    return "\n".join(f"{where}: {line}" for line in lines)


def _explain_one(detail: dict[str, Any]) -> str:
    location = [str(part) for part in detail["loc"]]
    dotted = ".".join(location)
    if detail["type"] != "extra_forbidden":
        return f"'{dotted}': {detail['msg']}"
    valid = _keys_at(location[:-1])
    near = difflib.get_close_matches(location[-1], valid, n=1, cutoff=0.4)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"unknown key '{dotted}'{hint} (valid here: {', '.join(sorted(valid))})"


def _keys_at(location: list[str]) -> list[str]:
    """The keys that are valid where ``location`` points, through nested models and lists."""
    model: type[BaseModel] = Settings
    for part in location:
        if part.isdigit():
            continue
        field = model.model_fields.get(part)
        found = _model_in(field.annotation) if field else None
        if found is None:
            return []
        model = found
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if found := _model_in(inner):
            return found
    return None


def process_environment() -> dict[str, str]:
    """A copy of this process's environment, for what is to be handed on."""
    return dict(os.environ)
