"""What to do about each kind of error: what the dashboard says beside one.

The same sentences are in docs/errors.md, which a test holds against these: in Markdown, for there
they are read as that.
"""

from collections.abc import Mapping

from driftfleet.results import ErrorKind

REMEDIES: Mapping[ErrorKind, str] = {
    ErrorKind.HCL: "Run `terraform validate` in the root and correct it.",
    ErrorKind.VERSION: (
        "Give the worker a Terraform that all of them accept, or change the constraint; "
        "`driftfleet versions` shows what each root wants, and [versions.md](versions.md) who "
        "wins."
    ),
    ErrorKind.JOB_REFUSED: (
        "Bring producer and workers to the same version and settings; look who else writes to the "
        "queue."
    ),
    ErrorKind.SOURCE_MISSING: (
        "Check the repository's name and the branch. A folder that was deleted disappears with "
        "the next sweep."
    ),
    ErrorKind.SOURCE_REFUSED: (
        "The message names the entry. Submodules and LFS files are not part of what GitHub's API "
        "gives: keep what a plan reads in the repository itself."
    ),
    ErrorKind.SOURCE_UNREACHABLE: (
        "Nothing, if it passes. Else `driftfleet doctor` tells what answers and what doesn't."
    ),
    ErrorKind.MODULE_FETCH: (
        "Check `source` and `version` at the place that the message names, and that the worker "
        "may read it. A source over ssh works for the configured GitHub host only; name others as "
        "`git::https://`. It may pass by itself where the network failed."
    ),
    ErrorKind.PROVIDER_MISSING: (
        "Run the `driftfleet mirror sync` command that the message ends with, on a machine that "
        "reaches a registry and may write to the mirror ([mirror.md](mirror.md)). Workers take "
        "providers from nowhere else."
    ),
    ErrorKind.PROVIDER_CRASHED: (
        "Where it did not start: check that its package in the mirror is whole, executable and "
        "for this platform. Where it ended: look at the machine's memory, then report it to its "
        "authors."
    ),
    ErrorKind.LOCK_MISMATCH: (
        "Run `terraform init` (with `-upgrade` where the constraint changed) or `terraform "
        "providers lock -platform=linux_amd64`, and commit the file. A checksum that differs for "
        "the same version and platform is a reason to ask where the package came from."
    ),
    ErrorKind.BACKEND_UNREACHABLE: (
        "Check its address and the network. No verdict is possible without the state, so this is "
        "never `clean`."
    ),
    ErrorKind.BACKEND_CONFIG: "Correct the block, or set `backend_config` for the variant.",
    ErrorKind.WORKSPACE_MISSING: (
        "Create it with `terraform workspace new`, or correct `workspace` in the variant."
    ),
    ErrorKind.CREDENTIALS: (
        "In the phase `source` put a valid token where the worker's `github.token` says; it is "
        "read again after a refusal, so nothing needs a restart, and `driftfleet doctor` on that "
        "machine tells whether it is taken. Else give the worker, or the role in "
        "`worker.plan_role`, what it takes to read the state and everything that the root "
        "manages; of a role that may not be assumed the message says what is missing. Only "
        "expired ones may pass by themselves."
    ),
    ErrorKind.STATE_LOCKED: (
        "Wait, or find who holds it: the message says so where the backend does."
    ),
    ErrorKind.VARIABLE_MISSING: "Set it for the variant: `var_files`, or `TF_VAR_NAME` in `env`.",
    ErrorKind.TIMEOUT: "Raise the limit, split the root, or look what the provider waits for.",
    ErrorKind.DISK_QUOTA: (
        "Look which module or provider is that big: a provider that is unpacked instead of linked "
        "means a zipped mirror. Else raise the limit."
    ),
    ErrorKind.DISK_FULL: "Give it more space, or lower the worker's concurrency.",
    ErrorKind.OUTPUT_LIMIT: "Raise the limit, or split the root.",
    ErrorKind.OUT_OF_MEMORY: "Give the worker more memory, or lower its concurrency.",
    ErrorKind.KILLED: "Look at the machine's memory and its log.",
    ErrorKind.CANCELLED: "Nothing; ask again.",
    ErrorKind.WORKER_LOST: (
        "Look at the worker's log and memory: one root that kills its worker every time usually "
        "needs more memory."
    ),
    ErrorKind.TERRAFORM_MISSING: "Install it, or name it in `worker.terraform`.",
    ErrorKind.INIT_FAILED: "Run `terraform init` in the root by hand.",
    ErrorKind.PLAN_FAILED: (
        "Run `terraform plan` in the root by hand. Where the network or a limit of requests was "
        "the reason it may pass by itself."
    ),
    ErrorKind.PLAN_UNREADABLE: (
        "Check again. If it stays, a new Terraform may be the reason: see rule 11 in "
        "[verdicts.md](verdicts.md)."
    ),
    ErrorKind.WORKER_CONFIG: (
        "Correct the setting that the message names, and start the worker again. Workers and "
        "commands share `broker.url` and `results.store`."
    ),
    ErrorKind.INTERNAL: "Report it with the worker's log of this check.",
}
