"""deploy/terraform with the real AWS provider: who may do what, and whether settings are some."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from driftfleet.configuration import load_settings
from driftfleet.metrics.cloudwatch import data_of
from driftfleet.metrics.sample import Sample
from driftfleet.metrics.table import METRICS
from driftfleet.metrics.tally import Tally
from driftfleet.settings import Settings
from tests.e2e.aws import TOP, Cloud
from tests.e2e.deployment import cloud, initialised, run

__all__ = ["cloud"]

# The first of a module starts a cloud, and has the provider plan and apply several times.
pytestmark = pytest.mark.timeout(900)

SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:"
GITHUB, REDIS = f"{SECRET}github-AbCdEf", f"{SECRET}redis-AbCdEf"
FLOWER = f"{SECRET}flower-AbCdEf"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/0f0e0d0c-0b0a-0908-0706-050403020100"
ROLE = "arn:aws:iam::123456789012:role/driftfleet"
RESULTS = "arn:aws:s3:::acme-drift-results/fleet/*"
FILES = "arn:aws:elasticfilesystem:eu-central-1:123456789012"
PAGER = "arn:aws:sns:eu-central-1:123456789012:oncall"
# What AWS itself has no resources for.
NO_RESOURCE = {"cloudwatch:PutMetricData", "ecr:GetAuthorizationToken"}
VARIABLES: Mapping[str, Any] = {
    "vpc_id": "vpc-1",
    "subnet_ids": ["subnet-1", "subnet-2"],
    "image": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/driftfleet:1",
    "github": {"url": "https://github.example.com"},
    "results": {"bucket": "acme-drift-results", "prefix": "fleet"},
    "wait_for_steady_state": False,
    "alarm_actions": [PAGER],
}
# Everything that one can have otherwise, at places whose names are known before they are made.
OTHERWISE: Mapping[str, Any] = {
    **VARIABLES,
    "github": {
        "url": "https://github.example.com",
        "token_secret": {"arn": GITHUB, "key": "token"},
    },
    "redis": {
        "url": "rediss://fleet@redis.example.com:6380/2",
        "password_secret": {"arn": REDIS},
        "cidr_blocks": ["10.1.0.0/16"],
    },
    "flower": {"password_secret": {"arn": FLOWER}},
    "mirror": {
        "sync_at": "30 2 * * *",
        "file_system": {
            "id": "fs-0123456789abcdef0",
            "access_point_id": "fsap-0123456789abcdef0",
            "security_group_id": "",
        },
    },
    "worker": {"spot_percent": 100, "min": 2, "max": 30},
    "images": {"worker": "123456789012.dkr-ecr.eu-central-1.on.aws/dual/driftfleet:2"},
    "plan_assume_role_arns": ["arn:aws:iam::210987654321:role/drift-reader"],
    "kms_key_arn": KEY,
    "secret_recovery_days": 0,
    "environment": {"TF_VAR_size": "large"},
    "settings": {
        "repositories": ["payments/infra@main", {"org": "platform", "topics": ["terraform"]}],
        "variants": [{"root": "shop", "variants": [{"name": "eu", "workspace": "eu"}]}],
        "schedule": {"every": "6h", "not_between": ["08:00-10:00"]},
        "limits": {"timeout_seconds": 1200},
        "terraform": {"default": "1.11.4"},
        "caps": None,
        "worker": {"gogc": 200, "complete_lock_files": False},
    },
}


class Planned:
    """What a plan with these variables would make; ``file`` is to be applied."""

    def __init__(self, folder: Path, cloud: Cloud, variables: Mapping[str, Any], name: str) -> None:
        (folder / f"{name}.tfvars.json").write_text(json.dumps(variables))
        self.file = name
        arguments = ("-input=false", f"-var-file={name}.tfvars.json", f"-out={name}")
        run(folder, cloud, "plan", *arguments)
        plan = json.loads(run(folder, cloud, "show", "-json", name).stdout)
        self.changes = plan["resource_changes"]
        self._modules = [plan["planned_values"]["root_module"]]
        self._modules += self._modules[0].get("child_modules", [])

    def of(self, kind: str) -> dict[str, Any]:
        """The managed resources of a kind by name and key: ``role``, ``role.worker``."""
        return {
            ".".join([one["name"], *([str(one["index"])] if "index" in one else [])]): one["values"]
            for module in self._modules
            for one in module["resources"]
            if one["type"] == f"aws_{kind}" and one["mode"] == "managed"
        }

    def containers(self, role: str) -> dict[str, Any]:
        """Those of a role's task, by name."""
        task = self.of("ecs_task_definition")[f"role.{role}"]
        return {one["name"]: one for one in json.loads(task["container_definitions"])}

    def container(self, role: str) -> dict[str, Any]:
        """The one that does the role's work."""
        return dict(self.containers(role)[role])

    def variables(self, role: str) -> dict[str, str]:
        return {one["name"]: one["value"] for one in self.container(role)["environment"]}

    def policy(self, name: str) -> dict[str, Any]:
        """The statements of an inline policy, by their names."""
        policy = json.loads(self.of("iam_role_policy")[name]["policy"])
        return {one["Sid"]: one for one in policy["Statement"]}


@pytest.fixture(scope="module")
def folder(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    deploy = tmp_path_factory.mktemp("deploy")
    return initialised("terraform", cloud, deploy, beside=["results-bucket"])


@pytest.fixture(scope="module")
def usual(folder: Path, cloud: Cloud) -> Planned:
    """With what is made where nothing else is named: ElastiCache, a mirror in the image."""
    return Planned(folder, cloud, VARIABLES, "usual")


class Around(NamedTuple):
    """What is there before the fleet; ``group`` is a balancer's or disk's, ``policy`` for plans."""

    vpc: str
    subnets: list[str]
    group: str
    policy: str


@pytest.fixture(scope="module")
def around(cloud: Cloud) -> Around:
    ec2 = cloud.client("ec2")
    subnets = ec2.describe_subnets()["Subnets"][:2]
    vpc = subnets[0]["VpcId"]
    group = ec2.create_security_group(GroupName="other", Description="other", VpcId=vpc)
    document = {"Effect": "Allow", "Action": "sqs:GetQueueAttributes", "Resource": "*"}
    policy = cloud.client("iam").create_policy(
        PolicyName="plans",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": document}),
    )
    named = [one["SubnetId"] for one in subnets]
    return Around(vpc, named, group["GroupId"], policy["Policy"]["Arn"])


@pytest.fixture(scope="module")
def otherwise(folder: Path, cloud: Cloud, around: Around) -> Planned:
    mirror = OTHERWISE["mirror"]
    variables = {
        **OTHERWISE,
        "vpc_id": around.vpc,
        "subnet_ids": around.subnets,
        "plan_policy_arns": [around.policy],
        "flower": {**OTHERWISE["flower"], "security_group_ids": [around.group]},
        "mirror": {
            **mirror,
            "file_system": {**mirror["file_system"], "security_group_id": around.group},
        },
    }
    return Planned(folder, cloud, variables, "otherwise")


def test_it_is_formatted_and_valid(folder: Path, cloud: Cloud) -> None:
    run(folder, cloud, "fmt", "-check", "-diff")
    assert json.loads(run(folder, cloud, "validate", "-json").stdout)["diagnostics"] == []


def settings_of(plan: Planned, role: str) -> Settings:
    return load_settings(environment=plan.variables(role))


class TestTasks:
    """What runs, and what it may do to the machine that it runs on."""

    def test_each_role_has_a_task_that_can_only_write_to_its_own_disk(
        self, otherwise: Planned
    ) -> None:
        roles = {name.removeprefix("role.") for name in otherwise.of("ecs_task_definition")}
        assert roles == {"beat", "producer", "worker", "flower"}
        for role in roles:
            container = otherwise.container(role)
            assert container["command"] == [role]
            assert container["readonlyRootFilesystem"] is True
            assert container["user"] == "10001:10001"
            assert container["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}
            assert container["healthCheck"]["command"] == ["CMD", "driftfleet-health", role]
            writable = {m["containerPath"] for m in container["mountPoints"] if not m["readOnly"]}
            mirror = {"/srv/mirror"} if role == "producer" else set()
            assert writable == {"/var/lib/driftfleet"} | mirror
            # Root for a moment: it gives the volume away, and can do nothing else.
            volume = otherwise.containers(role)["volume"]
            # Without a command of its own it would be the image's, --help.
            assert volume["entryPoint"] == ["chown"]
            assert volume["command"] == ["10001:10001", "/var/lib/driftfleet"]
            assert (volume["essential"], volume["readonlyRootFilesystem"]) == (False, True)
            assert "CHOWN" not in volume["linuxParameters"]["capabilities"]["drop"]
            assert len(volume["linuxParameters"]["capabilities"]["drop"]) == 13
            assert container["dependsOn"] == [{"containerName": "volume", "condition": "SUCCESS"}]
        assert otherwise.container("worker")["image"].endswith(":2")
        assert otherwise.container("producer")["image"].endswith(":1")

    def test_a_worker_has_time_to_drain_and_room_for_its_plans(self, otherwise: Planned) -> None:
        worker = otherwise.of("ecs_task_definition")["role.worker"]
        settings = settings_of(otherwise, "worker")
        stop = otherwise.container("worker")["stopTimeout"]
        assert (
            settings.worker.drain_seconds + settings.worker.stop_grace_seconds + 15 <= stop <= 120
        )
        # A producer ends what it does then, and has ten seconds to clean up (producer/ending.py).
        assert settings.worker.drain_seconds + 15 <= otherwise.container("producer")["stopTimeout"]
        slots = settings.worker.concurrency
        room = settings.limits.workspace_bytes * slots + settings.cache.limit_bytes
        disk = worker["ephemeral_storage"][0]["size_in_gib"] << 30
        assert room + settings.installs.limit_bytes + (1 << 30) <= disk
        needed = settings.worker.plan_memory_bytes + (60 << 20)
        assert slots * needed + settings.worker.memory_reserve_bytes <= int(worker["memory"]) << 20

    def test_a_mirror_is_filled_by_the_producer_and_read_by_workers(
        self, otherwise: Planned, usual: Planned
    ) -> None:
        mounts = {
            role: {
                m["sourceVolume"]: m["readOnly"] for m in otherwise.container(role)["mountPoints"]
            }
            for role in ("beat", "producer", "worker")
        }
        assert "mirror" not in mounts["beat"]
        # The mirror is not the mount itself: a sync works beside it, on the same disk.
        mirror = settings_of(otherwise, "producer").worker.mirror
        (place,) = (
            m["containerPath"]
            for m in otherwise.container("producer")["mountPoints"]
            if m["sourceVolume"] == "mirror"
        )
        assert mirror is not None
        assert str(mirror.parent) == place
        assert (mounts["producer"]["mirror"], mounts["worker"]["mirror"]) == (False, True)
        # In the image there is nothing to mount.
        assert len(usual.of("ecs_task_definition")["role.worker"]["volume"]) == 1
        actions = {
            role: otherwise.policy(f"task.{role}")["UseTheMirror"]
            for role in ("producer", "worker")
        }
        assert actions["worker"]["Action"] == "elasticfilesystem:ClientMount"
        assert "elasticfilesystem:ClientWrite" in actions["producer"]["Action"]
        for statement in actions.values():
            point = f"{FILES}:access-point/fsap-0123456789abcdef0"
            assert statement["Resource"] == f"{FILES}:file-system/fs-0123456789abcdef0"
            assert statement["Condition"]["StringEquals"] == {
                "elasticfilesystem:AccessPointArn": point
            }

    def test_services_are_no_ones_to_enter_and_go_back_where_they_do_not_start(
        self, otherwise: Planned
    ) -> None:
        services = otherwise.of("ecs_service")
        assert len(services) == 4
        for service in services.values():
            assert service["enable_execute_command"] is False
            assert service["network_configuration"][0]["assign_public_ip"] is False
            assert service["deployment_circuit_breaker"] == [{"enable": True, "rollback": True}]
        strategy = {
            one["capacity_provider"]: (one["base"] or 0, one["weight"])
            for one in services["worker"]["capacity_provider_strategy"]
        }
        assert strategy == {"FARGATE": (1, 1), "FARGATE_SPOT": (0, 100)}
        # No plan is ended for the balance between zones.
        assert services["worker"]["availability_zone_rebalancing"] == "DISABLED"


class TestSettings:
    """Whether the services take the variables that they get, and what those say."""

    def test_they_are_what_was_named_and_what_was_made(self, otherwise: Planned) -> None:
        for role in ("beat", "producer", "worker", "flower"):
            settings = settings_of(otherwise, role)
            assert settings.broker.url is not None
            assert settings.broker.url.get_secret_value() == OTHERWISE["redis"]["url"]
            assert settings.broker.password == f"secretsmanager://{REDIS}"
            assert settings.github.token == f"secretsmanager://{GITHUB}#token"
            assert settings.results.store == "s3://acme-drift-results/fleet"
            assert settings.results.s3.kms_key == KEY
            assert [rule.named for rule in settings.repositories] == [
                "repo payments/infra",
                "org platform",
            ]
            assert settings.variants[0].variants[0].workspace == "eu"
            assert settings.limits.timeout_seconds == 1200
            assert settings.worker.plan_role == f"{ROLE}-plan"
            assert settings.worker.plan_external_id == "driftfleet"
            assert str(settings.worker.writable_root) == "/var/lib/driftfleet"
            assert str(settings.worker.mirror) == "/srv/mirror/providers"
            # An image with versions in it names their folder, which a task would overrule.
            assert settings.installs.folder is None
            assert settings.cache.folder is not None
            assert settings.cache.folder.is_relative_to(settings.worker.writable_root)
            assert settings.mirror.sync_at is not None
            assert (settings.worker.gogc, settings.worker.complete_lock_files) == (200, False)
            assert settings.terraform.default == "1.11.4"
        assert otherwise.variables("worker")["TF_VAR_size"] == "large"
        assert "TF_VAR_size" not in otherwise.variables("producer")
        assert settings_of(otherwise, "worker").flower.password is None
        assert settings_of(otherwise, "flower").flower.host == "0.0.0.0"

    def test_no_secret_is_in_a_plan(self, otherwise: Planned, usual: Planned) -> None:
        for plan in (otherwise, usual):
            assert plan.of("secretsmanager_secret_version") == {}
        for role in ("beat", "producer", "worker", "flower"):
            places = [v for v in otherwise.variables(role).values() if "secret" in v.lower()]
            assert places
            assert all(place.startswith(f"secretsmanager://{SECRET}") for place in places)
        assert set(usual.of("secretsmanager_secret")) == {"made.github", "made.redis"}
        assert otherwise.of("secretsmanager_secret") == {}


class TestRights:
    """By least privilege: one thing more, and a plan or a stranger may do it."""

    def test_each_service_may_read_its_own_secrets(self, otherwise: Planned) -> None:
        read = {
            role: otherwise.policy(f"task.{role}")["ReadSecrets"]["Resource"]
            for role in ("beat", "producer", "worker", "flower")
        }
        assert {
            role: sorted([arns] if isinstance(arns, str) else arns) for role, arns in read.items()
        } == {
            "beat": [REDIS],
            "producer": [GITHUB, REDIS],
            "worker": [GITHUB, REDIS],
            "flower": [FLOWER, REDIS],
        }
        assert set(otherwise.policy("task.beat")) == {"ReadSecrets", "ReadSecretsWithTheKey"}

    def test_workers_keep_results_publish_metrics_and_assume_the_plans_role(
        self, otherwise: Planned
    ) -> None:
        worker, producer = otherwise.policy("task.worker"), otherwise.policy("task.producer")
        assert worker["KeepResults"]["Resource"] == RESULTS
        assert worker["PublishMetrics"]["Condition"] == {
            "StringEquals": {"cloudwatch:namespace": "driftfleet"}
        }
        assert worker["PlanAsAnother"] == {
            "Sid": "PlanAsAnother",
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Resource": f"{ROLE}-plan",
        }
        assert set(worker) - set(producer) == {"PlanAsAnother"}
        # Nothing of them is attached besides.
        attached = otherwise.of("iam_role_policy_attachment").values()
        assert {one["role"] for one in attached} == {"driftfleet-plan"}

    def test_no_policy_is_of_everything(self, otherwise: Planned) -> None:
        for name in otherwise.of("iam_role_policy"):
            for statement in otherwise.policy(name).values() if name != "plan" else ():
                actions = statement["Action"]
                named = {actions} if isinstance(actions, str) else set(actions)
                assert not [action for action in named if "*" in action], name
                if statement["Resource"] == "*":
                    assert named <= NO_RESOURCE, name

    def test_only_workers_become_the_plans_role_and_it_keeps_off_the_fleet(
        self, usual: Planned, otherwise: Planned
    ) -> None:
        role = otherwise.of("iam_role")["plan"]
        (trust,) = json.loads(role["assume_role_policy"])["Statement"]
        assert trust["Principal"] == {"AWS": f"{ROLE}-worker"}
        assert trust["Condition"] == {"StringEquals": {"sts:ExternalId": "driftfleet"}}
        (attached,) = usual.of("iam_role_policy_attachment").values()
        assert attached["policy_arn"] == "arn:aws:iam::aws:policy/ReadOnlyAccess"
        trust = json.loads(otherwise.of("iam_role")["task.worker"]["assume_role_policy"])
        condition = trust["Statement"][0]["Condition"]
        assert condition["StringEquals"] == {"aws:SourceAccount": "123456789012"}

    def test_execution_may_pull_the_one_image_and_write_the_logs(
        self, usual: Planned, otherwise: Planned
    ) -> None:
        statements = usual.policy("execution")
        repository = "arn:aws:ecr:eu-central-1:123456789012:repository"
        assert statements["PullTheImage"]["Resource"] == f"{repository}/driftfleet"
        # By the address that IPv6 has, too.
        both = otherwise.policy("execution")["PullTheImage"]["Resource"]
        assert set(both) == {f"{repository}/driftfleet", f"{repository}/dual/driftfleet"}
        logs = statements["Log"]["Resource"]
        assert f"{'arn:aws:logs:eu-central-1:123456789012'}:log-group:/driftfleet/worker:*" in logs
        assert set(statements) == {"PullTheImage", "LogInToEcr", "Log"}


class TestNetwork:
    def test_nobody_reaches_a_task_but_flowers_balancer(
        self, usual: Planned, otherwise: Planned, around: Around
    ) -> None:
        (rule,) = otherwise.of("vpc_security_group_ingress_rule").values()
        assert (rule["from_port"], rule["referenced_security_group_id"]) == (5555, around.group)
        assert "cidr_ipv4" not in rule or rule["cidr_ipv4"] is None
        assert set(usual.of("vpc_security_group_ingress_rule")) == {"redis.0"}

    def test_tasks_connect_to_what_they_need(self, otherwise: Planned, around: Around) -> None:
        rules = otherwise.of("vpc_security_group_egress_rule").values()
        found = {
            (rule["from_port"], rule["cidr_ipv4"] or rule["referenced_security_group_id"])
            for rule in rules
        }
        assert found == {(443, "0.0.0.0/0"), (2049, around.group), (6380, "10.1.0.0/16")}
        assert all(rule["from_port"] == rule["to_port"] for rule in rules)


class TestRedis:
    """The ElastiCache that is made. moto knows no user groups: it is planned, not applied."""

    def test_it_is_one_keyspace_encrypted_and_forgets_nothing(self, usual: Planned) -> None:
        (group,) = usual.of("elasticache_replication_group").values()
        assert (group["engine"], group["num_cache_clusters"]) == ("valkey", 1)
        assert group["transit_encryption_enabled"] is True
        assert group["at_rest_encryption_enabled"] in (True, "true")
        assert group["automatic_failover_enabled"] is False
        assert group["apply_immediately"] is True
        (parameters,) = usual.of("elasticache_parameter_group").values()
        assert parameters["family"] == "valkey7"
        alarm = usual.of("cloudwatch_metric_alarm")["redis.0"]
        assert alarm["dimensions"] == {"CacheClusterId": "driftfleet-001"}
        assert parameters["parameter"] == [{"name": "maxmemory-policy", "value": "noeviction"}]

    def test_its_user_may_do_what_the_documentation_says_and_no_more(self, usual: Planned) -> None:
        (user,) = usual.of("elasticache_user").values()
        page = (TOP / "docs" / "redis.md").read_text()
        said = re.search(r"ACL SETUSER driftfleet on >PASSWORD (.*?)```", page, re.S)
        assert said is not None
        written = set(said[1].split()) - {"resetkeys"}
        made = set(user["access_string"].split()) - {"on"}
        assert made - written == {"+info", "+client|setinfo"}
        assert written <= made
        (group,) = usual.of("elasticache_user_group").values()
        assert group["user_ids"] == ["driftfleet"]

    def test_nothing_of_it_is_made_where_one_has_an_own(self, otherwise: Planned) -> None:
        kinds = ("user", "user_group", "replication_group", "parameter_group", "subnet_group")
        assert not [kind for kind in kinds if otherwise.of(f"elasticache_{kind}")]


class TestAlarms:
    """Whether what they look at is what the services publish."""

    def test_metrics_and_their_dimensions_are_put_by_these_settings(
        self, otherwise: Planned
    ) -> None:
        cloudwatch = settings_of(otherwise, "producer").metrics.cloudwatch
        assert cloudwatch is not None
        put = published(cloudwatch.dimensions)
        looked_at = list(metrics_of(otherwise))
        assert {namespace for namespace, *_ in looked_at} == {cloudwatch.namespace, "AWS/ECS"}
        own = [one for one in looked_at if one[0] == cloudwatch.namespace]
        assert len(own) >= 10
        for _, name, dimensions in own:
            assert (name, frozenset(dimensions.items())) in put, (name, dimensions)

    def test_each_tells_somebody_and_says_what_to_do(self, otherwise: Planned) -> None:
        alarms = otherwise.of("cloudwatch_metric_alarm")
        names = {alarm["alarm_name"].removeprefix("driftfleet-") for alarm in alarms.values()}
        assert names == {
            "heartbeat", "backlog", "errors", "disk", "workers",
            "staleness", "overdue", "incomplete", "losses", "metrics",
        }  # fmt: skip
        for alarm in alarms.values():
            assert alarm["alarm_actions"] == [PAGER]
            assert "docs/operations.md" in alarm["alarm_description"]
        missing = {name: alarm["treat_missing_data"] for name, alarm in alarms.items()}
        silent = {name for name, what in missing.items() if what == "breaching"}
        assert silent == {"fleet.heartbeat", "workers"}

    def test_worker_count_is_held_against_the_least_there_are_to_be(
        self, otherwise: Planned
    ) -> None:
        alarm = otherwise.of("cloudwatch_metric_alarm")["workers"]
        assert (alarm["statistic"], alarm["threshold"]) == ("SampleCount", 2)
        assert alarm["dimensions"] == {"ClusterName": "driftfleet", "ServiceName": "worker"}


def published(dimensions: Mapping[str, str]) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    """Every metric that a fleet can ever put: its name and its dimensions."""
    tally = Tally()
    for metric in METRICS.values():
        for labels in metric.series:
            tally.add(Sample(metric.name, 1.0, labels), 0.0)
    return {
        (datum["MetricName"], frozenset((d["Name"], d["Value"]) for d in datum["Dimensions"]))
        for datum in data_of(tally, dimensions, 0.0)
    }


def metrics_of(plan: Planned) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Namespace, name and dimensions of all that alarms and scaling look at."""
    for alarm in plan.of("cloudwatch_metric_alarm").values():
        if alarm["metric_name"]:
            yield alarm["namespace"], alarm["metric_name"], alarm["dimensions"]
        for query in alarm["metric_query"]:
            for metric in query["metric"]:
                yield metric["namespace"], metric["metric_name"], metric["dimensions"]
    (policy,) = plan.of("appautoscaling_policy")["queue"][
        "target_tracking_scaling_policy_configuration"
    ]
    for query in policy["customized_metric_specification"][0]["metrics"]:
        for stat in query["metric_stat"]:
            (metric,) = stat["metric"]
            dimensions = {one["name"]: one["value"] for one in metric["dimensions"]}
            yield metric["namespace"], metric["metric_name"], dimensions


def test_workers_are_as_many_as_the_queue_and_their_memory_ask_for(otherwise: Planned) -> None:
    (target,) = otherwise.of("appautoscaling_target").values()
    assert (target["min_capacity"], target["max_capacity"]) == (2, 30)
    policies = otherwise.of("appautoscaling_policy")
    (memory,) = policies["memory"]["target_tracking_scaling_policy_configuration"]
    (predefined,) = memory["predefined_metric_specification"]
    assert predefined["predefined_metric_type"] == "ECSServiceAverageMemoryUtilization"
    (queue,) = policies["queue"]["target_tracking_scaling_policy_configuration"]
    metrics = queue["customized_metric_specification"][0]["metrics"]
    (whole,) = [one for one in metrics if one["return_data"]]
    assert set(re.findall(r"[a-z]\w+", whole["expression"])) == {
        one["id"] for one in metrics if one is not whole
    }


def test_the_bucket_is_the_one_of_results_bucket(otherwise: Planned) -> None:
    block = otherwise.of("s3_bucket_public_access_block")["results"]
    assert all(value for name, value in block.items() if name.startswith(("block", "ignore")))
    assert otherwise.of("s3_bucket_versioning")["results"]["versioning_configuration"]
    (rule,) = otherwise.of("s3_bucket_server_side_encryption_configuration")["results"]["rule"]
    assert rule["apply_server_side_encryption_by_default"][0]["kms_master_key_id"] == KEY
    assert otherwise.of("s3_bucket_lifecycle_configuration")


# What is not applied: the provider waits for a minute until a lifecycle stays as it is, and moto's
# Application Auto Scaling has no ListTagsForResource, which it asks for again and again.
NOT_APPLIED = ("aws_s3_bucket_lifecycle_configuration", "aws_appautoscaling_")
# moto keeps neither how services are spread, nor on which capacity they run, nor what rules say.
FORGOTTEN = {"availability_zone_rebalancing", "capacity_provider_strategy", "description"}


def test_what_is_applied_is_what_aws_takes_and_stays_as_it_is(
    folder: Path, cloud: Cloud, otherwise: Planned
) -> None:
    variables = ("-input=false", f"-var-file={otherwise.file}.tfvars.json")
    managed = [one["address"] for one in otherwise.changes if one["mode"] == "managed"]
    left = {address for address in managed if any(kind in address for kind in NOT_APPLIED)}
    targets = [f"-target={address}" for address in managed if address not in left]
    try:
        run(folder, cloud, "apply", "-auto-approve", *variables, "-parallelism=30", *targets)
        ecs = cloud.client("ecs")
        services = ["beat", "producer", "worker", "flower"]
        found = ecs.describe_services(cluster="driftfleet", services=services)["services"]
        assert {one["serviceName"]: one["desiredCount"] for one in found} == {
            "beat": 1, "producer": 1, "worker": 2, "flower": 1,
        }  # fmt: skip
        for service in found:
            task = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])
            container = task["taskDefinition"]["containerDefinitions"][1]
            given = {one["name"]: one["value"] for one in container["environment"]}
            assert load_settings(environment=given).worker.plan_role == f"{ROLE}-plan"
        again = ("plan", *variables, "-out=again")
        run(folder, cloud, *again)
        plan = json.loads(run(folder, cloud, "show", "-json", "again").stdout)
        changes = {one["address"]: one["change"] for one in plan["resource_changes"]}
        made = {address for address, one in changes.items() if one["actions"] == ["create"]}
        assert made == left
        updated = {a: one for a, one in changes.items() if one["actions"] == ["update"]}
        assert {a: names for a, one in updated.items() if (names := differing(one))} == {}
        replaced = {
            a: one["replace_paths"] for a, one in changes.items() if len(one["actions"]) > 1
        }
        assert replaced == {"aws_ecs_service.worker": [["capacity_provider_strategy"]]}
        rest = [
            one["actions"] for a, one in changes.items() if a not in {*made, *updated, *replaced}
        ]
        assert all(actions in (["no-op"], ["read"]) for actions in rest)
    finally:
        run(folder, cloud, "destroy", "-auto-approve", *variables, "-parallelism=30")


def differing(change: Mapping[str, Any]) -> set[str]:
    """The attributes that a change is of, less what moto forgets."""
    before, after = change["before"], change["after"]
    names = {name for name in after if before.get(name) != after[name]}
    return names - FORGOTTEN


def told(folder: Path, cloud: Cloud, **wrong: Any) -> str:
    """What a plan with wrong variables says."""
    (folder / "wrong.tfvars.json").write_text(json.dumps({**VARIABLES, **wrong}))
    arguments = ("plan", "-input=false", "-var-file=wrong.tfvars.json")
    said = run(folder, cloud, *arguments, expect=1).stderr
    return " ".join(said.replace("│", " ").split())


def test_wrong_variables_are_told(folder: Path, cloud: Cloud) -> None:
    said = told(
        folder,
        cloud,
        name="-Fleet",
        image="driftfleet:latest",
        images={"lambda": "x"},
        architecture="x86_64",
        github={"url": "github.com"},
        worker={"disk_gib": 20, "min": 0, "concurrency": 0.5, "spot_percent": 101},
        beat={"count": 3},
        redis={"url": "rediss://fleet:password@redis:6379/0"},
        mirror={"sync_at": "30 2 * * *", "folder": "/providers"},
        environment={"DRIFTFLEET_LOGS__LEVEL": "debug"},
        plan_assume_role_arns=["*"],
        secret_recovery_days=3,
        settings="repositories: []",
    )
    for words in (
        "2 to 20 small letters",
        "A tag that moves",
        "Roles are beat, producer, worker and flower",
        "X86_64 and ARM64",
        "github.url is https://HOST",
        "from 21 to 200",
        "1 at least, for the heartbeat",
        "worker.concurrency is a whole number",
        "from 0 to 100",
        "beat.count is 1 or 2",
        "without a password",
        "an image can't be written to",
        "mirror.folder is a folder in a folder",
        "belongs into settings",
        "with '*' a plan could be anybody",
        "0, or 7 to 30",
        "Settings are an object of sections",
    ):
        assert words in said


def test_what_fits_fargate_in_no_way_is_told_with_what_does(folder: Path, cloud: Cloud) -> None:
    said = told(
        folder,
        cloud,
        worker={"cpu": 1024, "memory": 9216, "concurrency": 30},
        producer={"cpu": 300},
        settings={"worker": {"concurrency": 3, "drain_seconds": 110}, "broker": {"url": "x"}},
    )
    for words in (
        "worker: Fargate has no 1024 CPU units with 9216 MiB. With 1024 it has: 2048, 3072,",
        "producer: Fargate has no 300 CPU units with 1024 MiB",
        "DRIFTFLEET_BROKER__URL, DRIFTFLEET_WORKER__CONCURRENCY",
        "the caches' limits and what stays free come to 37 GiB",
        "worker.drain_seconds is 100 at most",
    ):
        assert words in said
