"""What checks work with, and the terraform that it gives to one of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from driftfleet.jobs import Job
from driftfleet.redaction.names import secrets_in
from driftfleet.redaction.redactor import Redactor
from driftfleet.settings import WorkerSettings
from driftfleet.version_settings import TerraformSettings
from worker.environment import module_environment, named_files, plan_environment
from worker.isolation import isolation_of
from worker.machine import available_memory_bytes
from worker.mirror import cli_configuration
from worker.module_access import ModuleAccess
from worker.plan_credentials import PlanRole, variables_of
from worker.process import Programs
from worker.sensitive import secrets_of
from worker.source import RootSource
from worker.terraform import Terraform
from worker.versions import Chooser, PlanningPrograms, ProgramsOnPath
from worker.workspace import Workspace, Workspaces


@dataclass(frozen=True)
class Tools:
    """What a check works with. ``environment`` is the worker's own, ``name`` the worker's.

    ``withheld`` are the variables of it that hold secrets of driftfleet's own, ``modules`` is how
    private modules are fetched; without it they are fetched as anybody would. ``installs`` are the
    programs that may plan; without it those of the PATH. ``plan_role`` is what plans run as, with
    its ``keys`` once they are of one check; without it plans have the worker's own. ``time_limits``
    are what Celery raises in the middle of a check whose time is over: a Lambda function doesn't
    pay for Celery's import.
    """

    settings: WorkerSettings
    environment: Mapping[str, str]
    workspaces: Workspaces
    programs: Programs
    source: RootSource
    name: str
    withheld: frozenset[str] = frozenset()
    modules: ModuleAccess | None = None
    terraform: TerraformSettings = field(default_factory=TerraformSettings)
    installs: PlanningPrograms | None = None
    time_limits: tuple[type[Exception], ...] = ()
    plan_role: PlanRole | None = None
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)

    def redactor(self, job: Job, learned: Sequence[str] = ()) -> Redactor:
        """Masks every secret that the worker, its sources and the job know by now.

        ``learned`` are those that its files and its plan hold: see `worker.sensitive`.
        """
        given = secrets_of(job.variant)
        return Redactor((*self.secrets, *given, *self.source.secrets(), *learned))

    def as_plan(self, job: Job, seconds: float) -> "Tools":
        """These tools with the credentials for a plan of ``job``, which may take so long.

        Raises as `PlanRole.keys`.
        """
        if self.plan_role is None:
            return self
        return replace(self, keys=variables_of(self.plan_role.keys(job, seconds)))

    def module_environment(self, workspace: Workspace) -> Mapping[str, str]:
        """The environment in which a check's modules are fetched. Raises `ConfigurationError`."""
        return module_environment(
            self.environment, self.settings.environment, workspace, self.withheld, self.keys
        )

    @cached_property
    def chooser(self) -> Chooser:
        """What chooses the program that plans, with what is known of them by now."""
        named = self.settings.terraform
        there = self.installs or ProgramsOnPath(self.programs, named, self.environment)
        return Chooser(self.terraform, there, named)

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """What the worker's own environment holds of them."""
        held = (self.environment[name] for name in self.withheld & self.environment.keys())
        return (*secrets_in(self.environment), *secrets_in(self.keys), *held)

    def terraform_in(
        self,
        workspace: Workspace,
        job: Job,
        program: Path,
        deadline: float,
        learned: Sequence[str] = (),
    ) -> Terraform:
        """Terraform for a job's root: ``program``, until ``deadline`` of ``time.monotonic``.

        ``learned`` as for `redactor`; what is added to it later counts, too.

        Raises
        ------
        CheckFailed, ConfigurationError
            The job asks for what it may not have, or this machine can't isolate it.
        """
        settings = self.settings
        roomy = available_memory_bytes() >= settings.gogc_free_bytes
        environment = plan_environment(
            self.environment,
            settings.environment,
            job.variant.env,
            workspace,
            settings.gogc if roomy else None,
            withheld=self.withheld,
            keys=self.keys,
        )
        workspace.cli_config.write_text(cli_configuration(settings.mirror, workspace.home))
        named = named_files(self.environment, settings.environment, self.withheld, self.keys)
        return Terraform(
            program=program,
            programs=self.programs,
            workspace=workspace,
            environment=environment,
            top=workspace.source,
            folder=workspace.source / job.root,
            deadline=deadline,
            output_bytes=settings.output_bytes,
            parallelism=settings.parallelism,
            mirror=settings.mirror,
            timeout_seconds=job.limits.timeout_seconds,
            isolation=isolation_of(settings, self.environment, workspace, named),
            redactor=partial(self.redactor, job, learned),
        )
