"""Fetches a root's modules, by a program that all of them accept.

What modules want of the version is known only once they are there. Terraform since 0.12 and
OpenTofu fetch all of them in any case, and then refuse: so nothing is looked at unless they do.
"""

from collections.abc import Mapping
from dataclasses import replace

import structlog

from driftfleet.closure import Closure
from driftfleet.jobs import Job
from driftfleet.versions.decision import Requirement
from worker.environment import DATA_FOLDER
from worker.module_access import ModuleAccess
from worker.module_manifest import fetched_folders, require_modules
from worker.required_versions import requirements_in
from worker.terraform import ModulesRefuse, Terraform
from worker.versions import Choice

log = structlog.get_logger()
# Beyond this modules were made to play with us: which there are does not depend on the version.
_MOST_CHANGES = 3


def fetch_modules(
    job: Job,
    closure: Closure,
    choice: Choice,
    terraform: Terraform,
    *,
    access: ModuleAccess | None,
    environment: Mapping[str, str],
) -> Terraform:
    """Fetch them by ``terraform``, which runs what ``choice`` chose; return what is to go on with.

    Where modules refuse the program that was chosen, another that satisfies theirs and all other
    requirements fetches them again. Without an ``access`` they are fetched as anybody would.

    Raises
    ------
    CheckFailed
        In the phase ``version`` where no program is all that is asked for. Else as
        `ModuleAccess.fetch`.
    """
    for _ in range(_MOST_CHANGES):
        try:
            _fetch(job, closure, terraform, access, environment)
        except ModulesRefuse as refusal:
            refused = choice.chosen
            if not choice.reconsider(_requirements(job, terraform, refusal.printed)):
                raise
            terraform = replace(terraform, program=choice.chosen.path)
            log.info(
                "modules_refuse_version",
                job=job.title,
                refused=refused.version or str(refused.path),
                chosen=choice.chosen.version,
            )
        else:
            return terraform
    _fetch(job, closure, terraform, access, environment)
    return terraform


def _fetch(
    job: Job,
    closure: Closure,
    terraform: Terraform,
    access: ModuleAccess | None,
    environment: Mapping[str, str],
) -> None:
    if access is None:
        terraform.get(environment, ())
    else:
        access.fetch(
            job,
            closure.remote,
            terraform.workspace,
            environment=environment,
            deadline=terraform.deadline,
            get=terraform.get,
        )
    require_modules(terraform.folder, DATA_FOLDER)


def _requirements(job: Job, terraform: Terraform, printed: bytes) -> list[Requirement]:
    """Every ``required_version`` of the fetched modules: ``module.vpc: .terraform/...:3``."""
    prefix = "" if job.root == "." else f"{job.root}/"
    folders = {
        f"{prefix}{folder}": address
        for address, folder in fetched_folders(printed.decode("utf-8", "replace"), DATA_FOLDER)
    }
    found = requirements_in(job, terraform.top, folders, terraform.deadline)
    return [
        Requirement(one.constraint, f"{folders[folder]}: {one.place.removeprefix(prefix)}")
        for folder, one in found
    ]
