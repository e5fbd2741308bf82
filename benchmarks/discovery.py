"""How long discovery takes, cold, on a monorepo of 4,000 Terraform files in 340 folders.

`python benchmarks/discovery.py` writes the repository into a temporary folder (half of its folders
are roots, the rest modules; nearly every file differs), then runs discovery in fresh processes and
prints each one's wall and CPU seconds, imports included. Target: 10 s on 2 cores.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

FILES = 4_000
ROOTS = 172
MODULES = 168
TARGET_SECONDS = 10.0

_MEASURED = """
import json, sys
from pathlib import Path
from driftfleet.tree import LocalTree
from producer.discovery import discover
found = discover(LocalTree(Path(sys.argv[1])))
kinds = {}
for folder in found.folders:
    kinds[folder.kind] = kinds.get(folder.kind, 0) + 1
print(json.dumps({
    "kinds": kinds,
    "errors": sum(len(folder.errors) for folder in found.folders),
    "outside": sum(bool(folder.needs) for folder in found.roots),
    "largest": max(len(folder.needs) for folder in found.roots),
    "parser loaded": "hcl2" in sys.modules,
}))
"""


def _terraform(dice: random.Random, name: str) -> str:
    return f"""# State of {name}, kept apart per environment.
terraform {{
  required_version = ">= 1.{dice.randrange(3, 9)}, < 2.0"

  required_providers {{
    aws = {{
      source  = "hashicorp/aws"
      version = "~> 5.{dice.randrange(90)}"
    }}
    random = {{ source = "hashicorp/random", version = ">= 3.{dice.randrange(6)}" }}
  }}

  backend "s3" {{
    bucket       = "state-{dice.randrange(99)}"
    key          = "{name}/terraform.tfstate"
    region       = "eu-central-1"
    use_lockfile = true
  }}
}}

provider "aws" {{
  region = var.region
  default_tags {{
    tags = merge(local.tags, {{ Name = "${{var.prefix}}-{name}", Managed = "terraform" }})
  }}
}}
"""


def _resources(dice: random.Random, name: str) -> str:
    number = dice.randrange(10**6)
    return f"""resource "aws_iam_role" "r{number}" {{
  name               = "${{var.prefix}}-{name}-{number}"
  assume_role_policy = <<EOF
{{
  "Version": "2012-10-17",
  "Statement": [{{ "Effect": "Allow", "Principal": {{ "Service": "ec2.amazonaws.com" }} }}]
}}
EOF
  tags = local.tags
}}

resource "aws_security_group" "s{number}" {{
  name_prefix = "{name}-"
  vpc_id      = data.aws_vpc.main.id

  dynamic "ingress" {{
    for_each = {{ for rule in var.rules : rule.name => rule if rule.enabled }}
    content {{
      from_port   = ingress.value.port
      to_port     = ingress.value.port
      protocol    = "tcp"
      cidr_blocks = ["10.{dice.randrange(255)}.0.0/16", var.cidr]
    }}
  }}
  lifecycle {{
    create_before_destroy = true
  }}
}}

data "aws_iam_policy_document" "d{number}" {{
  statement {{
    actions   = ["s3:Get*", "s3:List*"] // read only
    resources = ["arn:aws:s3:::${{var.prefix}}-{number}", "arn:aws:s3:::${{var.prefix}}-{number}/*"]
  }}
}}
"""


def _variables(dice: random.Random, name: str) -> str:
    return "\n".join(
        f'''variable "{name.replace("-", "_")}_{index}" {{
  description = "What {name} needs: {dice.randrange(10**6)}"
  type = object({{
    name = string
    port = optional(number, {dice.randrange(65_000)})
  }})
  default = null
}}
'''
        for index in range(dice.randrange(4, 14))
    )


def _outputs(dice: random.Random, name: str) -> str:
    return "\n".join(
        f'''output "o{dice.randrange(10**6)}" {{
  value     = try(aws_iam_role.r{index}[0].arn, "{name}")
  sensitive = false
}}
'''
        for index in range(dice.randrange(12, 40))
    )


def _call(dice: random.Random, source: str) -> str:
    number = dice.randrange(10**6)
    return f"""module "m{number}" {{
  source = "{source}"

  name   = "${{local.prefix}}-{number}"
  policy = templatefile("${{path.module}}/policy.json.tftpl", {{ number = {number} }})
  rules  = [for port in [443, {dice.randrange(9999)}] : {{ name = "p${{port}}", port = port }}]
}}
"""


_KINDS: tuple[Callable[[random.Random, str], str], ...] = (_resources, _variables, _outputs)


def _write_repository(top: Path, dice: random.Random) -> int:
    """Write the repository and say how many bytes its Terraform files have."""
    modules = [f"modules/team-{index % 12}/m{index}" for index in range(MODULES)]
    roots = [f"environments/account-{index % 20}/stack-{index}" for index in range(ROOTS)]
    folders = modules + roots
    for folder in folders:
        (top / folder).mkdir(parents=True)
        if folder in modules:
            above = modules[: modules.index(folder)][-3:]
            calls = [f"../../{m.removeprefix('modules/')}" for m in above if dice.random() < 0.3]
        else:
            (top / folder / "terraform.tf").write_text(_terraform(dice, folder.split("/")[-1]))
            chosen = dice.sample(modules, k=dice.randrange(1, 4)) if dice.random() < 0.15 else []
            calls = [f"../../../{module}" for module in chosen]
        remote = [f"git::https://git.example.com/org/m{dice.randrange(99)}.git?ref=v1"]
        text = "\n".join(_call(dice, source) for source in calls + remote * dice.randrange(4))
        (top / folder / "main.tf").write_text(text + _resources(dice, "main"))
    for index in range(FILES - len(folders) - len(roots)):
        kind = _KINDS[index % len(_KINDS)]
        name = f"part-{index}"
        text = "\n".join(kind(dice, name) for _ in range(dice.randrange(1, 5)))
        (top / dice.choice(folders) / f"{name}.tf").write_text(text)
    return sum(path.stat().st_size for path in top.rglob("*.tf"))


def _measure(top: Path) -> tuple[float, float, dict[str, object]]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-c", _MEASURED, str(top)], check=True, stdout=subprocess.PIPE
    )
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, json.loads(run.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        size = _write_repository(top, random.Random(arguments.seed))
        print(f"{FILES} .tf files, {size / 1e6:.1f} MB, {ROOTS + MODULES} folders")
        worst = 0.0
        for _ in range(arguments.runs):
            wall, cpu, found = _measure(top)
            worst = max(worst, wall)
            print(f"wall {wall:.2f} s  cpu {cpu:.2f} s  {json.dumps(found)}")
    print(f"target {TARGET_SECONDS:.0f} s: {'met' if worst <= TARGET_SECONDS else 'MISSED'}")
    return worst > TARGET_SECONDS


if __name__ == "__main__":
    sys.exit(main())
