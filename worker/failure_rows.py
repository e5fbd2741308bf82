"""The table of what terraform's errors mean: the first row that matches decides."""

import re
from dataclasses import dataclass
from typing import Literal

from driftfleet.errors import Phase
from driftfleet.results import ErrorKind
from worker.diagnostics import Diagnostic

# What passes by itself: a network, a server or a limit of requests.
PASSING = re.compile(
    r"no such host|could not resolve host|temporary failure in name resolution|server misbehaving"
    r"|connection (refused|reset|timed out)|couldn't connect to server|network is unreachable"
    r"|no route to host|i/o timeout|timed? ?out|deadline exceeded|unexpected eof"
    r"|\b(status ?code|response code|returned error):? 5\d\d\b|giving up after \d+ attempt"
    r"|throttl|rate exceeded|too ?many ?requests|request ?limit ?exceeded|slowdown|\b429\b"
    r"|service ?unavailable|internal ?server ?error|bad gateway|\brate limit"
    # curl's and git's words for a connection that broke.
    r"|empty reply from server|transfer closed with|early eof|rpc failed|remote end hung up"
    r"|unexpected disconnect|http/2 stream",
    re.IGNORECASE,
)
CORRECT_THE_CODE = "Correct the code; `terraform validate` shows the same."
ENDED_FROM_OUTSIDE = "The check was ended from outside."
Place = Literal["summary", "text", "tail"]


@dataclass(frozen=True)
class Row:
    """An error kind, and how it is told.

    ``place``: the summary alone, summary and detail, or also what was printed last.

    ``transient`` None: if the text tells of something that passes by itself.
    """

    kind: ErrorKind
    pattern: re.Pattern[str]
    advice: str
    place: Place = "text"
    phases: tuple[Phase, ...] = ("version", "init", "plan", "show")
    transient: bool | None = False

    def matches(self, phase: Phase, diagnostic: Diagnostic) -> bool:
        """Whether this row explains a diagnostic of a phase."""
        if phase not in self.phases:
            return False
        text = diagnostic.summary if self.place == "summary" else whole(diagnostic)
        return self.pattern.search(text) is not None


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


# The first row that matches decides: what the machine lacks, then what was asked for by name, then
# what could not be reached, and only then the code; a failing backend may quote any of the others.
TABLE: tuple[Row, ...] = (
    Row(
        ErrorKind.DISK_FULL,
        _any(r"no space left on device", r"disk quota exceeded", r"\bENOSPC\b"),
        "The worker's disk is full: give its writable root more space, or lower the concurrency.",
        place="tail",
        transient=True,
    ),
    Row(
        ErrorKind.DISK_QUOTA,
        _any(r"file too large", r"file size limit exceeded"),
        "One file grew past the share of a check: raise `limits.workspace_bytes`, or look what "
        "is that big.",
        place="tail",
    ),
    Row(
        ErrorKind.OUT_OF_MEMORY,
        _any(
            r"fatal error: .*(out of memory|cannot allocate memory|reserve page summary memory)",
            r"runtime: (out of memory|cannot allocate memory)",
            r"fork/exec .*: cannot allocate memory",
            r"failed to create new OS thread",
        ),
        "Terraform or a provider wanted more memory than there is: give the worker more.",
        place="tail",
        transient=True,
    ),
    Row(
        # Before what it leads to: a provider that is told to end "did not respond".
        ErrorKind.CANCELLED,
        _any(r"interrupt received\.(\\n|\s)+please wait for \w+ to exit"),
        ENDED_FROM_OUTSIDE,
        place="tail",
        transient=True,
    ),
    Row(
        ErrorKind.STATE_LOCKED,
        _any(r"error acquiring the state lock", r"state (is )?already locked"),
        "Somebody holds the state's lock. Checks never take it (-lock=false); look for who does.",
        transient=True,
    ),
    Row(
        ErrorKind.VERSION,
        _any(
            r"unsupported (terraform|opentofu) core version",
            r"state file uses format version",
            r"state snapshot was created by terraform v",
            r"managed by newer provider version",
            r"does not support (terraform|opentofu) version",
        ),
        "Let the worker run a Terraform (or pin a provider) that this configuration and its state "
        "accept.",
    ),
    Row(
        ErrorKind.PROVIDER_CRASHED,
        _any(
            r"plugin (did not respond|crashed)|connection is shut down",
            # The same, where terraform saw that the process was gone before its connection was.
            r"\(\*GRPCProvider\)\.\w+ request was cancell?ed",
        ),
        "The provider ended in the middle of its work. If it happens again, look at the machine's "
        "memory first, then report it to the provider's authors.",
        transient=True,
    ),
    Row(
        ErrorKind.PROVIDER_CRASHED,
        _any(
            r"unrecognized remote plugin message",
            r"failed to read any lines from plugin",
            r"failed to instantiate provider",
            r"timeout while waiting for plugin to start",
            r"plugin exited before we could connect",
            r"incompatible API version with plugin",
        ),
        "The provider does not start. Check that the mirror holds the package for this platform, "
        "whole and executable.",
    ),
    Row(
        ErrorKind.LOCK_MISMATCH,
        _any(
            r"(doesn't|does not) match any of the checksums",
            r"provider dependency changes detected",
            r"failed to read dependency lock file",
            r"locked provider .* does not match configured version constraint",
            r"inconsistent dependency lock file",
        ),
        "Run `terraform init` in the root (with -upgrade where the constraint has changed) or "
        "`terraform providers lock -platform=linux_amd64`, and commit .terraform.lock.hcl.",
    ),
    Row(
        ErrorKind.MODULE_FETCH,
        _any(
            r"failed to download module",
            r"could not download module",
            r"unreadable module directory",
            r"error accessing remote module registry",
            r"failed to expand subdir globs",
            r"module not (installed|found)",
            r"module source has changed",
            r"unresolvable module version",
            r"module version requirements have changed",
            r"invalid (registry )?module source",
        ),
        "Check the module's source and its version, and that the worker may read it.",
        transient=None,
    ),
    Row(
        ErrorKind.PROVIDER_MISSING,
        _any(
            r"not found in any of the search locations",
            r"no available releases match",
            r"previously-selected version \S+ is no longer available",
            r"failed to query available provider packages",
            r"failed to (install|resolve) provider",
            r"required plugins are not installed",
            r"does not have a package available for your current platform",
            r"could not load plugin",
        ),
        "Bring it into the mirror with `driftfleet mirror sync`: it belongs into "
        "MIRROR/HOST/NAMESPACE/TYPE/VERSION/OS_ARCH/.",
        transient=None,
    ),
    Row(
        ErrorKind.WORKSPACE_MISSING,
        _any(
            r"workspace \"[^\"]*\" doesn't exist",
            r"workspaces not supported",
            r"currently selected workspace \(?.* does not exist",
            r"invalid workspace selection",
            r"no workspaces (found|match)",
            r"workspace \S+ not found",
        ),
        "Create the workspace, or correct `workspace` in the variant.",
        place="tail",
    ),
    Row(
        ErrorKind.CREDENTIALS,
        _any(
            r"expiredtoken", r"token (included in the request )?(is|has) expired", r"RequestExpired"
        ),
        "Renew the worker's credentials, or let their session last longer than the check.",
        transient=True,
    ),
    Row(
        ErrorKind.CREDENTIALS,
        _any(
            r"no valid credential sources?",
            r"failed to get shared config profile",
            r"could not find default credentials",
            r"required token could not be found",
            r"invalidclienttokenid|signaturedoesnotmatch|unrecognizedclientexception",
            r"invalidaccesskeyid|authfailure|invalid_grant|AADSTS\d+",
            r"access ?denied|unauthorizedoperation|is not authorized to perform",
            r"authorization ?(failed|error)|\bunauthorized\b|\bforbidden\b",
            r"\b(status ?code|response code|returned error|error):? 40[13]\b|\b40[13] (error|:)",
            r"endpoint (requires|invalid) auth",
            r"password authentication failed|permission_?denied",
            r"one of `access_key`|obtain(ing)? (an? )?(access )?token|az login",
            r"building (account|authorizer)|unable to build authorizer",
        ),
        "Give the worker credentials that may read this: the state, and what the provider manages.",
    ),
    Row(
        ErrorKind.BACKEND_CONFIG,
        _any(
            r"backend initialization required",
            r"HCP Terraform or Terraform Enterprise initialization required",
            r"backend (configuration|type) (has )?changed",
            r"backend configuration block has changed",
            r"unsupported backend type",
            r"invalid backend configuration",
            r"required by the backend",
            r"missing region value",
            r"duplicate (backend|cloud|hcp terraform)",
            r"unsupported state file format",
            r"s3 bucket \S+ does not exist|nosuchbucket|bucket doesn't exist",
            r"container ?not ?found",
            r"failed to read file the file",
            r"error configuring (the )?backend",
        ),
        "Correct the backend's block, or `backend_config` in the variant.",
    ),
    Row(
        ErrorKind.BACKEND_UNREACHABLE,
        _any(
            r"error (refreshing|loading|reading|accessing|inspecting) (the )?(remote )?state",
            r"failed to (get|load|read) (existing workspaces|(the )?(remote )?state)",
            r"failed to request discovery document",
            r"failed to retrieve workspaces?",
        ),
        "The state can't be read, so nothing can be judged: check the address and the network.",
        transient=True,
    ),
    Row(
        ErrorKind.BACKEND_UNREACHABLE,
        PASSING,
        "The state can't be read, so nothing can be judged: check the address and the network.",
        phases=("init",),
        transient=True,
    ),
    Row(
        ErrorKind.VARIABLE_MISSING,
        _any(
            r"no value for required variable",
            r"failed to read variables? (definitions )?file",
            r"invalid value for (input )?variable",
            r"value for undeclared variable",
        ),
        "Set it for this variant: `var_files`, or TF_VAR_NAME in its `env`.",
        place="summary",
    ),
    Row(
        ErrorKind.HCL,
        # Terraform's own summaries begin with a capital letter, providers' hardly ever do.
        re.compile(
            r"^(Invalid|Unclosed|Unterminated|Unexpected|Unsupported|Duplicate|Missing|Extraneous)\b"
            r"|^(Argument or block definition|Attribute redefined|Incorrect attribute value type)"
            r"|^(Reference to undeclared|Call to unknown|Error in function call|Inconsistent cond)"
            r"|^(Too (few|many)|Not enough|Iteration over|Conditions? must|Cycle:|Self-referential)"
            r"|^(Operation failed|Variables not allowed|Function calls not allowed)"
            r"|^(Insufficient|Conflicting|Provider (configuration not present|type mismatch))\b"
            r"|^(Module is incompatible|No configuration files|A \w+ name is required|Single )"
        ),
        CORRECT_THE_CODE,
        place="summary",
        phases=("init", "plan"),
    ),
    Row(
        ErrorKind.CANCELLED,
        _any(r"operation (was )?cancell?ed", r"interrupt received", r"^execution halted"),
        ENDED_FROM_OUTSIDE,
        place="tail",
        transient=True,
    ),
)


def whole(error: Diagnostic) -> str:
    """Summary and detail on one line."""
    return flat(f"{error.summary} {error.detail}")


def flat(text: str) -> str:
    """Make one line of it: terraform wraps at 78 columns, wherever that falls."""
    return " ".join(text.split())
