"""Everything that a fleet can be told, with its defaults; `driftfleet.configuration` loads it."""

import os
import tempfile
from pathlib import Path
from typing import Literal, Self

from pydantic import (
    Field,
    SecretStr,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)

from driftfleet.broker_password import holds_password
from driftfleet.cap_settings import CapSettings
from driftfleet.contradictions import contradictions
from driftfleet.cron import Cron
from driftfleet.flower_settings import FlowerSettings
from driftfleet.jobs import Limits, Variant
from driftfleet.metrics_settings import MetricsSettings
from driftfleet.model import Record
from driftfleet.report_settings import ReportSettings
from driftfleet.repository_rule import RepositoryRule
from driftfleet.role_name import require_external_id, require_role
from driftfleet.s3_settings import SCHEME as S3_SCHEME
from driftfleet.s3_settings import S3Settings, place_of
from driftfleet.schedule_settings import ScheduleSettings, refuse_contradiction
from driftfleet.secrets import require_place
from driftfleet.version_settings import InstallSettings, TerraformSettings

# What providers need to find their credentials, their proxy and their certificates.
PLAN_ENVIRONMENT = (
    "AWS_*", "GOOGLE_*", "ARM_*", "TF_VAR_*",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "TZ",
)  # fmt: skip


def _temporary_folder() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        # Nothing can be written at all, as where beat runs: who does write is told of the folder.
        return "/tmp"  # noqa: S108


class BrokerSettings(Record):
    """Redis, through which jobs travel. Without a URL only `scan` works: it starts its own.

    With ``rediss://`` the certificate is verified, against ``ca_file`` where there is one.
    ``password`` is the URL of a secret (`driftfleet.secrets`), for a ``url`` that has none.
    """

    url: SecretStr | None = None
    password: str | None = None
    ca_file: Path | None = None
    visibility_timeout_seconds: int = Field(default=120, ge=10)
    # What Flower listens to.
    events: bool = True

    @field_validator("password")
    @classmethod
    def _is_a_place(cls, password: str | None) -> str | None:
        return None if password is None else require_place(password, "password")

    @model_validator(mode="after")
    def _has_one_password(self) -> Self:
        if self.password is None:
            return self
        if self.url is None:
            raise ValueError("has 'password', and no 'url' that it is for")
        if holds_password(self.url.get_secret_value()):
            raise ValueError("has 'password', and one in 'url': take it out of the URL")
        return self

    @field_serializer("url", when_used="json")
    def _reveal(self, url: SecretStr | None) -> str | None:
        return url.get_secret_value() if url else None


class ResultSettings(Record):
    """Where results are kept: ``file://DIR`` or ``s3://BUCKET/PREFIX``; ``s3``: how that is."""

    # Absolute at once: a worker that is told of it has another current folder.
    store: str = Field(default_factory=lambda: f"file://{Path.cwd() / 'drift-results'}")
    s3: S3Settings = S3Settings()

    @field_validator("store")
    @classmethod
    def _can_be_a_place(cls, store: str) -> str:
        if store.startswith(S3_SCHEME):
            place_of(store)
        return store

    @model_validator(mode="after")
    def _is_told_of_itself_only(self) -> Self:
        if self.s3 != S3Settings() and not self.store.startswith(S3_SCHEME):
            raise ValueError(f"has 's3', and 'store' is no {S3_SCHEME}BUCKET/PREFIX")
        return self


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

    @property
    def is_named(self) -> bool:
        """Whether there is a server to ask."""
        return self.url is not None or self.api_url is not None

    @field_validator("token")
    @classmethod
    def _is_a_place(cls, token: str | None) -> str | None:
        return None if token is None else require_place(token, "token")

    @model_validator(mode="after")
    def _authenticates_once(self) -> Self:
        if self.token is not None and self.app is not None:
            raise ValueError("has both 'token' and 'app': name the one to authenticate with")
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
    ``isolation``: plans see their workspace, the mirror, their program and ``isolation_shows``.
    ``attempts``: how often a check is tried that fails for a reason that may pass.
    ``drain_seconds``: how long a worker that is told to end lets its plans run on.
    A plan starts where ``memory_reserve_bytes`` stay free beside what it and those that run will
    take (``plan_memory_bytes`` where nobody knows), and where the disk of ``writable_root`` has
    ``min_free_bytes``: 1 GiB, or a tenth of a smaller one.
    ``plan_role`` is assumed for each plan, which has its keys and none of the worker's own.
    """

    concurrency: int = Field(default_factory=lambda: len(os.sched_getaffinity(0)), ge=1)
    writable_root: Path = Field(
        default_factory=lambda: Path(_temporary_folder()) / f"driftfleet-{os.getuid()}"
    )
    terraform: str = "terraform"
    mirror: Path | None = None
    local_roots: tuple[Path, ...] = ()
    environment: tuple[str, ...] = PLAN_ENVIRONMENT
    plan_role: str | None = None
    plan_external_id: str | None = None
    gogc: int = Field(default=400, ge=10)
    gogc_free_bytes: int = Field(default=1 << 30, ge=0)
    parallelism: int = Field(default=10, ge=1)
    output_bytes: int = Field(default=256 << 20, gt=0)
    stop_grace_seconds: float = Field(default=2.0, ge=0)
    attempts: int = Field(default=3, ge=1, le=10)
    drain_seconds: float = Field(default=60.0, ge=0)
    complete_lock_files: bool = True
    isolation: Literal["none", "bubblewrap"] = "none"
    isolation_shows: tuple[Path, ...] = ()
    plan_memory_bytes: int = Field(default=800 << 20, gt=0)
    memory_reserve_bytes: int = Field(default=256 << 20, ge=0)
    min_free_bytes: int | None = Field(default=None, ge=0)

    @field_validator("plan_role")
    @classmethod
    def _is_a_role(cls, role: str | None) -> str | None:
        return None if role is None else require_role(role, "plans")

    @field_validator("plan_external_id")
    @classmethod
    def _can_be_sent(cls, external_id: str | None) -> str | None:
        return None if external_id is None else require_external_id(external_id)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.plan_external_id is not None and self.plan_role is None:
            raise ValueError("has 'plan_external_id' without 'plan_role', which is what it is for")
        return self


class ProducerSettings(Record):
    """``concurrency``: what the producer does at once; one of it may be a sync of the mirror."""

    concurrency: int = Field(default=3, ge=2)


class MirrorSettings(Record):
    """How the provider mirror (``worker.mirror``) is filled.

    ``sync_at`` is a crontab in UTC, such as ``30 2 * * *``; without one nobody does it but people.
    ``origin`` and ``platforms`` are the options of `driftfleet mirror sync`.
    """

    sync_at: Cron | None = None
    origin: str | None = None
    platforms: tuple[str, ...] = ()


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
    limits: Limits = Limits()
    schedule: ScheduleSettings = ScheduleSettings()
    repositories: tuple[RepositoryRule, ...] = ()
    cache: CacheSettings = CacheSettings()
    variants: tuple[VariantRule, ...] = ()
    terraform: TerraformSettings = TerraformSettings()
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    installs: InstallSettings = InstallSettings()
    caps: CapSettings = CapSettings()
    producer: ProducerSettings = ProducerSettings()
    mirror: MirrorSettings = MirrorSettings()
    flower: FlowerSettings = FlowerSettings()
    metrics: MetricsSettings = MetricsSettings()
    report: ReportSettings = ReportSettings()
    logs: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if said := contradictions(self):
            raise ValueError("; ".join(said))
        return self

    @field_validator("schedule")
    @classmethod
    def _can_be_kept(cls, schedule: ScheduleSettings, info: ValidationInfo) -> ScheduleSettings:
        if "limits" in info.data:
            refuse_contradiction(schedule, None, info.data["limits"].timeout_seconds)
        return schedule

    @field_validator("repositories")
    @classmethod
    def _can_all_be_kept(
        cls, rules: tuple[RepositoryRule, ...], info: ValidationInfo
    ) -> tuple[RepositoryRule, ...]:
        if info.data.keys() >= {"limits", "schedule"}:
            schedule, limits = info.data["schedule"], info.data["limits"]
            for number, rule in enumerate(rules, 1):
                try:
                    refuse_contradiction(schedule, rule.schedule, limits.timeout_seconds)
                except ValueError as error:
                    named = f"entry {number} ({rule.named}), with what 'schedule' says"
                    raise ValueError(f"{named}: {error}") from error
        return rules
