"""What a plan's environment holds: an allow-list, and what keeps terraform inside its workspace."""

import os
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType

from driftfleet.errors import CheckFailed, ConfigurationError
from worker.workspace import Workspace

# Never handed on, whatever the setting allows: the worker's own, what decides which code is loaded,
# what makes git print or go where it shouldn't, and TF_WORKSPACE: with one that doesn't exist
# terraform plans against an empty state.
_NEVER = (
    "DRIFTFLEET_*", "CELERY_*", "FORKED_BY_MULTIPROCESSING", "LD_*", "PYTHON*", "TF_CLI_*",
    "TF_WORKSPACE", "GIT_TRACE*", "GIT_CURL_VERBOSE", "GIT_EXEC_PATH",
)  # fmt: skip
_GIT = "GIT_*"
# Of terraform's own, in the root's folder.
DATA_FOLDER = ".terraform"
# With these a module source could have a program run, and in the root's folder: what a profile of
# AWS names, or a credential of Google's.
_PROFILES = (
    "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
    "AWS_SDK_LOAD_CONFIG", "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES",
)  # fmt: skip
_REFUSED = ("hg",)
# By which clients of AWS find credentials, older names and Go's second ones among them. Where plans
# have a role's keys they are of nobody else.
CREDENTIALS = frozenset(
    {
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN",
        "AWS_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_BEARER_TOKEN_*", "AWS_CREDENTIAL_FILE",
        "AWS_CREDENTIAL_EXPIRATION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE", "AWS_SDK_LOAD_CONFIG", "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    }
)  # fmt: skip
_NO_KEYS: Mapping[str, str] = MappingProxyType({})
# Variables whose value is a file or a folder, which isolated plans are shown.
_FILES = (
    "AWS_CA_BUNDLE", "AWS_CONFIG_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CREDENTIALS", "ARM_CLIENT_CERTIFICATE_PATH", "ARM_CLIENT_ID_FILE_PATH",
    "ARM_CLIENT_SECRET_FILE_PATH", "ARM_OIDC_TOKEN_FILE_PATH", "GIT_SSL_CAINFO", "SSL_CERT_DIR",
    "SSL_CERT_FILE",
)  # fmt: skip


def plan_environment(
    own: Mapping[str, str],
    allowed: Sequence[str],
    variant: Mapping[str, str],
    workspace: Workspace,
    gogc: int | None,
    *,
    withheld: Collection[str] = (),
    keys: Mapping[str, str] = _NO_KEYS,
) -> dict[str, str]:
    """Build the environment of terraform and its providers, without what only git reads.

    ``own`` is the worker's environment, ``variant`` what the job adds. ``withheld`` are names of
    variables that hold the worker's own secrets: they stay here, whatever is ``allowed``. Where
    there are ``keys``, variables with a role's, they are all the plan has of AWS' credentials.

    Raises
    ------
    CheckFailed
        The job wants to set a variable that the allow-list doesn't hold, or one of git's: a job
        comes from Redis, and may not decide what a process loads or where our token goes.
    """
    passing = _passing(own, allowed, withheld, keys)
    for name in variant:
        if fnmatchcase(name, _GIT):
            reason = f"the variant sets {name}: git's variables are the worker's own"
        elif keys and _finds_credentials(name):
            reason = f"the variant sets {name}: worker.plan_role gives plans their credentials"
        elif name in withheld or not _matches(name, allowed):
            reason = f"the variant sets {name}, which worker.environment doesn't allow"
        else:
            continue
        raise CheckFailed("source", "job_refused", reason)
    environment = {
        "AWS_EC2_METADATA_DISABLED": "true",
        "LANG": "C.UTF-8",
        "PATH": own.get("PATH", "/usr/local/bin:/usr/bin:/bin"),
        **{name: value for name, value in passing.items() if not fnmatchcase(name, _GIT)},
        **variant,
        **keys,
        "HOME": str(workspace.home),
        "TMPDIR": str(workspace.temporary),
        "PLUGIN_UNIX_SOCKET_DIR": str(workspace.temporary),
        # Where it is for people: the `path.module` of modules that are fetched begins with it, and
        # gets into states.
        "TF_DATA_DIR": DATA_FOLDER,
        "TF_CLI_CONFIG_FILE": str(workspace.cli_config),
        # With the checkpoint on terraform writes into HOME and asks the internet for its news.
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
    }
    if gogc is not None:
        environment["GOGC"] = str(gogc)
    return environment


def module_environment(
    own: Mapping[str, str],
    allowed: Sequence[str],
    workspace: Workspace,
    withheld: Collection[str] = (),
    keys: Mapping[str, str] = _NO_KEYS,
) -> dict[str, str]:
    """The environment in which modules are fetched: `plan_environment` with what git reads.

    Nothing of a variant is in it. It may say how a plan reaches its cloud, and could say here
    through which proxy our token goes. Cloud credentials count where they need no program. First
    in its PATH is a folder of the workspace that this makes, with an ``hg`` that refuses: the real
    one would obey the configuration in whatever folder it runs in.

    Raises
    ------
    ConfigurationError
        There is no ``false`` on this machine.
    """
    passing = _passing(own, allowed, withheld, keys)
    environment = plan_environment(own, allowed, {}, workspace, None, withheld=withheld, keys=keys)
    return {
        **{name: value for name, value in environment.items() if name not in _PROFILES},
        "GIT_CONFIG_GLOBAL": "/dev/null",
        **{name: value for name, value in passing.items() if fnmatchcase(name, _GIT)},
        "PATH": f"{_refusing(workspace, environment['PATH'])}{os.pathsep}{environment['PATH']}",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=10",
        # What lies above the root is none of git's business.
        "GIT_CEILING_DIRECTORIES": str(workspace.source),
    }


def _refusing(workspace: Workspace, path: str) -> Path:
    """A folder with the programs that a fetch of modules must not find."""
    false = shutil.which("false", path=path)
    if false is None:
        raise ConfigurationError(
            "'false' is no program on this worker: install GNU coreutils, or busybox"
        )
    folder = workspace.temporary / "refused"
    folder.mkdir(exist_ok=True)
    for name in _REFUSED:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(Path(false).absolute())
    return folder


def named_files(
    own: Mapping[str, str],
    allowed: Sequence[str],
    withheld: Collection[str],
    keys: Mapping[str, str] = _NO_KEYS,
) -> list[Path]:
    """The files and folders that the worker's own environment names for plans.

    Not a variant's: a job comes from Redis, and may not decide what a plan is shown.
    """
    passing = _passing(own, allowed, withheld, keys)
    values = (passing[name] for name in _FILES if name in passing)
    # SSL_CERT_DIR may hold several.
    paths = (Path(part) for value in values for part in value.split(os.pathsep))
    return [path for path in paths if path.is_absolute()]


def _passing(
    own: Mapping[str, str],
    allowed: Sequence[str],
    withheld: Collection[str],
    keys: Mapping[str, str],
) -> dict[str, str]:
    names = {name for name in own if _matches(name, allowed)}.difference(withheld)
    return {name: own[name] for name in names if not (keys and _finds_credentials(name))}


def _finds_credentials(name: str) -> bool:
    return _is_like(name, CREDENTIALS)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return not _is_like(name, _NEVER) and _is_like(name, patterns)


def _is_like(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
