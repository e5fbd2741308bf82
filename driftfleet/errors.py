"""The error tree. Drift is a result and never an exception.

DriftfleetError
├── ConfigurationError      the person who set this up must change something: exit code 2
│   ├── CredentialsRefused  our token was not accepted; nothing more is asked with it
│   └── RoleRefused         the role that plans run as may not be assumed
├── ContractError           a message or record is not what the schema says: never retried
├── TransientError          trying again can help; may say after how long
│   ├── StoreUnavailable    the result store did not take or give a record
│   ├── BrokerUnavailable   Redis did not answer
│   ├── SecretUnavailable   the place that keeps a secret did not answer
│   ├── RoleUnavailable     the role that plans run as could not be assumed this time
│   ├── GitHubUnavailable   GitHub did not answer in time or in order, or wants us to wait
│   └── InstallUnavailable  a version could not be installed this time: network, disk, time
└── PermanentError          trying again gives the same answer
    ├── GitHubRefused       GitHub answered, and the answer is no
    │   ├── GitHubNotFound  there is no such thing, or our token may not see it
    │   └── RepositoryEmpty there is no commit yet
    ├── InstallRefused      no such version, or what was installed as it is something else
    ├── SourceRefused       what a repository holds can't be taken: a hostile path, a submodule, LFS
    ├── VersionUndecided    no version of Terraform or OpenTofu is all that was asked for
    └── CheckFailed         a check ends in the verdict `error`; has a phase and a kind
"""

from typing import Literal

Phase = Literal["source", "version", "init", "plan", "show", "store"]


class DriftfleetError(Exception):
    """Something that driftfleet can explain went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())

    @property
    def message(self) -> str:
        """The whole explanation, for a person."""
        return str(self.args[0])


class ConfigurationError(DriftfleetError):
    """The settings, the command or the machine lack something that a person must provide."""


class CredentialsRefused(ConfigurationError):
    """Our token was not accepted. Asking on with it could lock its account out, so nobody does."""


class RoleRefused(ConfigurationError):
    """The role that plans run as may not be assumed."""


class ContractError(DriftfleetError):
    """A message or a record is not what its schema says.

    ``payload`` is what was received, so that the person who reads the log sees it.
    """

    def __init__(self, message: str, payload: object = None) -> None:
        super().__init__(message)
        self.payload = payload


class TransientError(DriftfleetError):
    """It failed now and may work later; ``retry_after_seconds`` where the other side said when."""

    def __init__(
        self, message: str | None = None, *, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class StoreUnavailable(TransientError):
    """The result store did not take or give a record."""


class BrokerUnavailable(TransientError):
    """Redis did not answer."""


class SecretUnavailable(TransientError):
    """The place that keeps a secret did not answer."""


class RoleUnavailable(TransientError):
    """The role that plans run as could not be assumed this time."""


class GitHubUnavailable(TransientError):
    """GitHub did not answer in time or in order, or wants us to wait."""


class InstallUnavailable(TransientError):
    """A version of terraform could not be installed this time."""


class PermanentError(DriftfleetError):
    """Trying again gives the same answer."""


class GitHubRefused(PermanentError):
    """GitHub answered, and the answer is no; ``status`` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class GitHubNotFound(GitHubRefused):
    """There is no such thing, or our token may not see it: GitHub answers 404 to both."""


class RepositoryEmpty(GitHubRefused):
    """The repository has no commit yet."""


class InstallRefused(PermanentError):
    """There is no such version of terraform, or what was installed is something else."""


class SourceRefused(PermanentError):
    """What a repository holds can't be taken; the message names the entry."""


class VersionUndecided(PermanentError):
    """No version of Terraform or OpenTofu is all that was asked for; names each that asks."""


class CheckFailed(PermanentError):
    """A check could not be judged: becomes a result with the verdict ``error``.

    ``kind`` is one of `driftfleet.results.ErrorKind`. ``transient`` says whether a later check
    may succeed with nobody doing anything.
    """

    def __init__(self, phase: Phase, kind: str, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.phase: Phase = phase
        self.kind = kind
        self.transient = transient
