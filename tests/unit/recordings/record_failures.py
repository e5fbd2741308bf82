# ruff: noqa: E501, UP031 - Terraform code in one line each, full of braces
"""Records how terraform fails: failures/NAME.json with phase, exit code and what it printed.

    python tests/unit/recordings/record_failures.py MIRROR [NAME...]

It needs terraform and git on the PATH and an unpacked mirror with the AWS provider 5.100.0. A small
HTTP server on a loopback port plays the clouds that refuse. No credentials are used but made-up ones.
What depends on who is faster is tried until it says what is wanted: keep the machine busy meanwhile.
"""

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[2] / "examples" / "provider"
TRIES = 200
PLAN = ("plan", "-json", "-input=false", "-lock=false", "-detailed-exitcode", "-out=p")
INIT = ("init", "-no-color", "-input=false")


class Cloud(BaseHTTPRequestHandler):
    """Answers by the first part of the path: /423, /403, /expired, /hang."""

    def answer(self) -> None:
        word = self.path.strip("/").split("/")[0].split("?")[0]
        if word == "hang":
            time.sleep(20)
        bodies = {
            "expired": (
                403,
                b"<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredToken</Code>"
                b"<Message>The security token included in the request is expired"
                b"</Message></Error><RequestId>1</RequestId></ErrorResponse>",
            ),
            "invalid": (
                403,
                b"<ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId"
                b"</Code><Message>The security token included in the request is "
                b"invalid.</Message></Error><RequestId>1</RequestId></ErrorResponse>",
            ),
            "denied": (
                400,
                b'{"__type":"AccessDeniedException","message":"User: '
                b"arn:aws:iam::123456789012:user/drift is not authorized to perform: "
                b'logs:DescribeLogGroups"}',
            ),
            "nobucket": (
                404,
                b"<Error><Code>NoSuchBucket</Code><Message>The specified bucket does "
                b"not exist</Message></Error>",
            ),
            "s3denied": (
                403,
                b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
            ),
            "423": (
                423,
                b'{"ID":"6f1c","Operation":"OperationTypeApply","Who":"ann@host",'
                b'"Version":"1.11.4","Created":"2024-01-01T00:00:00Z"}',
            ),
            "badstate": (200, b'{"version": 99, "terraform_version": "9.0.0"}'),
            "notstate": (200, b"<html>Sign in</html>"),
        }
        status, body = bodies.get(word, (int(word) if word.isdigit() else 404, b""))
        if word == "423" and self.command == "GET":
            status, body = 404, b""
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_HEAD = do_LOCK = do_UNLOCK = do_DELETE = answer  # noqa: N815

    def log_message(self, *arguments: object) -> None:
        """Silent."""


@dataclass(frozen=True)
class Failure:
    """``code`` is main.tf; ``commands`` run in turn and the last one's output is kept.

    Where ``until`` is given: only once it is in it.
    """

    code: str
    commands: tuple[tuple[str, ...], ...] = (INIT, PLAN)
    files: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    before: Callable[[Path], None] = lambda root: None
    during: Callable[[int], None] | None = None
    direct: bool = False
    wrapper: tuple[str, ...] = ()
    until: str = ""


def aws(extra: str, service: str = "logs", path: str = "") -> str:
    return f"""
provider "aws" {{
  region      = "eu-central-1"
  max_retries = 1
  {extra}
}}
resource "aws_cloudwatch_log_group" "main" {{
  name = "x"
}}
data "aws_cloudwatch_log_groups" "all" {{}}
"""


KEYS = 'access_key = "testing"\n secret_key = "testing"\n'
SKIP = (
    "skip_credentials_validation = true\n skip_requesting_account_id = true\n"
    "skip_metadata_api_check = true\n"
)
BUCKET = 'bucket = "b"\n key = "k"\n region = "eu-central-1"\n'
NONE = 'resource "terraform_data" "x" {}\n'
WANTS = "terraform {\n required_providers {\n  %s\n }\n}\n"


def s3(extra: str) -> str:
    return 'terraform {\n backend "s3" {\n %s %s\n }\n}\n%s' % (BUCKET, extra, NONE)


def s3_at(place: str) -> str:
    return s3(
        KEYS + "use_path_style = true\n skip_credentials_validation = true\n"
        "skip_requesting_account_id = true\n skip_metadata_api_check = true\n max_retries = 1\n"
        'endpoints = { s3 = "%s" }' % place
    )


def backend(kind: str, body: str) -> str:
    return 'terraform {\n backend "%s" {\n %s\n }\n}\n%s' % (kind, body, NONE)


def lock(version: str, constraint: str, *hashes: str) -> dict[str, str]:
    listed = ", ".join(f'"{h}"' for h in hashes)
    return {
        ".terraform.lock.hcl": 'provider "registry.terraform.io/hashicorp/aws" {\n'
        f'  version     = "{version}"\n  constraints = "{constraint}"\n  hashes = [{listed}]\n}}\n'
    }


def h1(text: str) -> str:
    return "h1:" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def kill_provider(terraform: int) -> None:
    deadline = time.time() + 15
    while time.time() < deadline:
        out = subprocess.run(
            ["ps", "-o", "pid=,etimes=,args=", "--ppid", str(terraform)],
            capture_output=True, text=True, check=False,
        ).stdout.split()  # fmt: skip
        if out and int(out[1]) >= 6:
            os.kill(int(out[0]), 9)
            return
        time.sleep(0.3)


def interrupt(terraform: int) -> None:
    """As somebody from outside would, once it reads what never comes."""
    time.sleep(5)
    os.kill(terraform, signal.SIGTERM)


def demo_mirror(root: Path) -> None:
    """The examples' own provider, which can crash when asked to."""
    builder = [sys.executable, str(EXAMPLES / "mirror.py"), str(root.parent / "mirror")]
    subprocess.run(builder, check=True, stdout=subprocess.DEVNULL)


def repository(root: Path) -> None:
    inner = root.parent / "repo"
    inner.mkdir()
    (inner / "main.tf").write_text("")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run(
            ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", *words],
            cwd=inner, check=True,
        )  # fmt: skip


def fill(root: Path) -> None:
    """A plugin in the mirror that dies at once, and one that is no program."""
    for name, text in (
        ("dies", "#!/bin/sh\nexit 3\n"),
        ("panics", PANIC),
        ("chats", "#!/bin/sh\necho hello\n"),
    ):
        place = root.parent / f"mirror/registry.terraform.io/acme/{name}/1.0.0/linux_amd64"
        place.mkdir(parents=True)
        binary = place / f"terraform-provider-{name}_v1.0.0"
        binary.write_text(text)
        binary.chmod(binary.stat().st_mode | stat.S_IXUSR)


PANIC = """#!/bin/sh
echo 'panic: runtime error: invalid memory address or nil pointer dereference' >&2
echo 'goroutine 1 [running]:' >&2
exit 2
"""


def demo(fault: str) -> str:
    return (
        WANTS % 'demo = {\n source = "driftfleet/demo"\n version = "1.0.0"\n }'
        + f'data "demo_fault" "this" {{\n kind = "{fault}"\n}}\n'
    )


def acme(name: str) -> str:
    return (
        WANTS % f'{name} = {{\n source = "acme/{name}"\n version = "1.0.0"\n }}'
        + f'resource "{name}_thing" "x" {{}}\n'
    )


ONE = (INIT,)
BOXED = (("init", "-input=false"),)
CLOSED = "http://127.0.0.1:1"

FAILURES: dict[str, Failure] = {
    # the code
    "syntax_error": Failure('resource "terraform_data" "x" {\n  input = \n', ONE),
    "duplicate_resource": Failure(NONE + NONE, ONE),
    "two_terraform_backends": Failure(backend("local", "") + backend("s3", ""), ONE),
    "undeclared_reference": Failure('output "o" { value = terraform_data.nope.id }'),
    "unsupported_argument": Failure('resource "terraform_data" "x" { inptu = 1 }'),
    "unknown_function": Failure('output "o" { value = nope(1) }'),
    "undeclared_variable_used": Failure('output "o" { value = var.nope }'),
    "missing_argument": Failure('data "terraform_remote_state" "r" {}'),
    "module_argument_missing": Failure(
        'module "m" { source = "./m" }', files={"m/main.tf": 'variable "x" {}'}
    ),
    "syntax_error_in_module": Failure(
        'module "m" { source = "./m" }', ONE, files={"m/main.tf": "resource {"}
    ),
    # versions
    "required_version": Failure('terraform { required_version = ">= 9.0" }\n' + NONE, ONE),
    "required_version_in_module": Failure(
        'module "m" { source = "./m" }', ONE,
        files={"m/main.tf": 'terraform { required_version = "~> 0.12.0" }'},
    ),
    "state_from_the_future": Failure(backend("http", 'address = "CLOUD/badstate"'), ONE),
    "state_not_a_state": Failure(backend("http", 'address = "CLOUD/notstate"'), ONE),
    # modules
    "module_folder_missing": Failure('module "m" { source = "./nope" }', ONE),
    "module_git_no_host": Failure('module "m" { source = "git::https://git.example.invalid/a/b.git" }', ONE),
    "module_git_refused": Failure('module "m" { source = "git::http://127.0.0.1:1/a/b.git" }', ONE),
    "module_git_forbidden": Failure('module "m" { source = "git::CLOUD/401/a/b.git" }', ONE,
                                    environment={"GIT_TERMINAL_PROMPT": "0"}),
    "module_ssh_refused": Failure('module "m" { source = "git::ssh://git@127.0.0.1:1/a/b.git" }', ONE),
    "module_git_missing": Failure(
        'module "m" { source = "git::https://git.example.invalid/a/b.git" }', ONE,
        environment={"PATH": "NOGIT"},
    ),
    "module_ref_missing": Failure(
        'module "m" { source = "git::file://BASE/repo?ref=nope" }', ONE, before=repository
    ),
    "module_subfolder_missing": Failure(
        'module "m" { source = "git::file://BASE/repo//nope" }', ONE, before=repository
    ),
    "module_registry": Failure(
        'module "m" {\n source = "terraform-aws-modules/vpc/aws"\n version = "5.0.0"\n}', ONE
    ),
    "module_private_registry": Failure(
        'module "m" {\n source = "app.terraform.io/acme/vpc/aws"\n version = "5.0.0"\n}', ONE
    ),
    "module_archive_404": Failure('module "m" { source = "CLOUD/404/m.zip" }', ONE),
    "module_not_installed": Failure('module "m" { source = "./m" }', (PLAN,), files={"m/main.tf": ""}),
    # providers
    "provider_not_mirrored": Failure('resource "random_id" "x" { byte_length = 1 }', ONE),
    "provider_two_not_mirrored": Failure(
        'resource "random_id" "x" { byte_length = 1 }\nresource "null_resource" "x" {}', ONE
    ),
    "provider_version_not_mirrored": Failure(
        WANTS % 'aws = {\n source = "hashicorp/aws"\n version = "~> 6.0"\n }', ONE
    ),
    "provider_pinned_not_mirrored": Failure(
        WANTS % 'aws = {\n source = "hashicorp/aws"\n }' + 'provider "aws" {}', ONE,
        files=lock("5.99.0", "~> 5.0", h1("x")),
    ),
    "provider_pin_against_constraint": Failure(
        WANTS % 'aws = {\n source = "hashicorp/aws"\n version = "5.100.0"\n }', ONE,
        files=lock("5.99.0", "5.99.0", h1("x")),
    ),
    "provider_from_network": Failure('resource "random_id" "x" { byte_length = 1 }', ONE, direct=True),
    "provider_other_host": Failure(
        WANTS % 'x = {\n source = "tf.example.invalid/acme/x"\n }', ONE, direct=True
    ),
    "lock_hash_mismatch": Failure(
        WANTS % 'aws = {\n source = "hashicorp/aws"\n }' + 'provider "aws" {}', ONE,
        files=lock("5.100.0", "5.100.0", h1("x")),
    ),
    "lock_readonly_stale": Failure(
        WANTS % 'aws = {\n source = "hashicorp/aws"\n }' + 'provider "aws" {}',
        ((*INIT, "-lockfile=readonly"),),
    ),
    "lock_readonly_then_plan": Failure(
        WANTS % 'aws = {\n source = "hashicorp/aws"\n }' + 'provider "aws" {}',
        ((*INIT, "-lockfile=readonly"), PLAN),
        files=lock("5.100.0", "5.100.0", "zh:" + "0" * 64),
    ),
    "lock_file_broken": Failure(NONE, ONE, files={".terraform.lock.hcl": "provider {"}),
    "provider_dies": Failure(acme("dies"), before=fill),
    "provider_panics": Failure(acme("panics"), before=fill),
    "provider_chats": Failure(acme("chats"), before=fill),
    "provider_killed": Failure(
        aws(KEYS + SKIP + 'endpoints {\n logs = "CLOUD/hang"\n }'), during=kill_provider
    ),
    # Terraform sees that the process is gone, or that its connection is: whichever comes first.
    "provider_gone": Failure(
        demo("crash"), before=demo_mirror, until="Request cancelled"
    ),
    "interrupted": Failure(demo("hang"), before=demo_mirror, during=interrupt),
    "provider_not_installed": Failure(aws(KEYS), (PLAN,)),
    # backends
    "s3_no_credentials": Failure(s3(""), ONE),
    "s3_profile_missing": Failure(s3('profile = "nope"'), ONE),
    "s3_refused": Failure(s3_at(CLOSED), ONE),
    "s3_no_host": Failure(s3(KEYS), ONE),
    "s3_denied": Failure(s3_at("CLOUD/s3denied"), ONE),
    "s3_no_bucket": Failure(s3_at("CLOUD/nobucket"), ONE),
    "s3_without_bucket": Failure('terraform {\n backend "s3" {\n key = "k"\n }\n}\n', ONE),
    "s3_unknown_argument": Failure(s3('buckt = "x"'), ONE),
    "backend_unknown": Failure(backend("etcd9", ""), ONE),
    "backend_config_file_missing": Failure(
        backend("local", ""), ((*INIT, "-backend-config=nope.hcl"),)
    ),
    "backend_config_unknown_key": Failure(
        backend("local", ""), ((*INIT, "-backend-config=nope=1"),)
    ),
    "backend_not_initialised": Failure(backend("local", ""), (PLAN,)),
    "backend_changed": Failure(
        backend("local", 'path = "b"'), (INIT, ("edit", 'path = "b"', 'path = "c"'), INIT)
    ),
    "http_refused": Failure(backend("http", f'address = "{CLOSED}/s"\n retry_max = 0'), ONE),
    "http_401": Failure(backend("http", 'address = "CLOUD/401/s"\n retry_max = 0'), ONE),
    "http_403": Failure(backend("http", 'address = "CLOUD/403/s"\n retry_max = 0'), ONE),
    "http_500": Failure(backend("http", 'address = "CLOUD/500/s"\n retry_max = 0'), ONE),
    "http_locked": Failure(
        backend("http", 'address = "CLOUD/404/s"\n lock_address = "CLOUD/423/s"\n retry_max = 0'),
        (INIT, ("plan", "-json", "-input=false")),
    ),
    "cloud_no_network": Failure(
        'terraform {\n cloud {\n organization = "acme"\n workspaces { name = "x" }\n }\n}\n' + NONE, ONE
    ),
    "cloud_no_token": Failure(
        'terraform {\n cloud {\n organization = "acme"\n workspaces { name = "x" }\n }\n}\n' + NONE,
        (PLAN,),
    ),
    "remote_no_network": Failure(
        backend("remote", 'organization = "acme"\n workspaces { name = "x" }'), ONE
    ),
    "gcs_no_credentials": Failure(backend("gcs", 'bucket = "b"'), ONE),
    "azurerm_no_credentials": Failure(
        backend("azurerm", 'storage_account_name = "a"\n container_name = "c"\n key = "k"'), ONE
    ),
    "pg_refused": Failure(
        backend("pg", 'conn_str = "postgres://u:p@127.0.0.1:1/x?sslmode=disable"'), ONE
    ),
    "consul_refused": Failure(backend("consul", 'address = "127.0.0.1:1"\n path = "x"'), ONE),
    "kubernetes_no_config": Failure(
        backend("kubernetes", 'secret_suffix = "s"\n config_path = "nope"'), ONE
    ),
    # workspaces and variables
    "workspace_missing": Failure(NONE, (INIT, ("workspace", "select", "-no-color", "nope"))),
    "workspaces_not_supported": Failure(
        backend("http", 'address = "CLOUD/404/s"'),
        (INIT, ("workspace", "select", "-no-color", "nope")),
    ),
    "variable_missing": Failure('variable "size" {}\nvariable "name" {}\n' + NONE),
    "variable_file_missing": Failure(NONE, (INIT, (*PLAN, "-var-file=nope.tfvars"))),
    "variable_file_broken": Failure(NONE, files={"x.auto.tfvars": "a = = 1"}),
    "variable_invalid": Failure(
        'variable "n" {\n default = 1\n validation {\n condition = var.n > 2\n error_message = '
        '"Must be over two."\n }\n}'
    ),
    "variable_wrong_type": Failure(
        'variable "n" {\n type = number\n}', files={"terraform.tfvars": 'n = "many"'}
    ),
    "variable_undeclared": Failure(NONE, (INIT, (*PLAN, "-var=nope=1"))),
    # the clouds
    "aws_no_credentials": Failure(aws("")),
    "aws_no_region": Failure(aws("").replace('region      = "eu-central-1"', KEYS)),
    "aws_invalid_credentials": Failure(aws(KEYS + 'endpoints {\n sts = "CLOUD/invalid"\n }')),
    "aws_expired_credentials": Failure(aws(KEYS + 'endpoints {\n sts = "CLOUD/expired"\n }')),
    "aws_sts_refused": Failure(aws(KEYS + f'endpoints {{\n sts = "{CLOSED}"\n }}')),
    "aws_api_refused": Failure(aws(KEYS + SKIP + f'endpoints {{\n logs = "{CLOSED}"\n }}')),
    "aws_api_denied": Failure(aws(KEYS + SKIP + 'endpoints {\n logs = "CLOUD/denied"\n }')),
    "aws_no_host": Failure(aws(KEYS + SKIP)),
    "aws_profile_missing": Failure(aws('profile = "nope"')),
    # what the code forbids
    "precondition": Failure(
        'resource "terraform_data" "x" {\n lifecycle {\n precondition {\n condition = terraform.workspace == "x"\n'
        ' error_message = "Never."\n }\n }\n}'
    ),
    "precondition_plain": Failure(
        'resource "terraform_data" "x" {\n lifecycle {\n precondition {\n'
        ' condition = terraform.workspace == "x"\n error_message = "Never."\n }\n }\n}',
        (INIT, ("plan", "-no-color", "-input=false")),
    ),
    "boxed_syntax_error": Failure('resource "terraform_data" "x" {\n  input = \n', BOXED),
    "boxed_module": Failure('module "m" { source = "./nope" }', BOXED),
    "boxed_two_providers": Failure(
        'resource "random_id" "x" { byte_length = 1 }\nresource "null_resource" "x" {}', BOXED
    ),
    "boxed_s3_no_credentials": Failure(s3(""), BOXED),
    "boxed_precondition": Failure(
        'resource "terraform_data" "x" {\n lifecycle {\n precondition {\n'
        ' condition = terraform.workspace == "x"\n error_message = "Never."\n }\n }\n}',
        (INIT, ("plan", "-input=false")),
    ),
    "aws_api_refused_plain": Failure(
        aws(KEYS + SKIP + f'endpoints {{\n logs = "{CLOSED}"\n }}'),
        (INIT, ("plan", "-no-color", "-input=false")),
    ),
    "cycle": Failure(
        'resource "terraform_data" "a" { input = terraform_data.b.id }\n'
        'resource "terraform_data" "b" { input = terraform_data.a.id }\n'
    ),
    # the machine
    "disk_full_init": Failure(
        'module "m" { source = "git::file://BASE/repo" }', ONE, before=repository,
        wrapper=("unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=4k none "$TF_DATA_DIR" && exec "$@"', "sh"),
        environment={"TF_DATA_DIR": "BASE/data"},
    ),
    "memory_limit": Failure(aws(KEYS + SKIP), (INIT, PLAN), wrapper=("prlimit", "--as=1200000000")),
}  # fmt: skip


def record(name: str, failure: Failure, cloud: str, mirror: str) -> str:
    with tempfile.TemporaryDirectory(prefix="rec") as text:
        base = Path(text)
        words = {"CLOUD": cloud, "BASE": text, "NOGIT": f"{text}/bin"}

        def fix(value: str) -> str:
            for word, real in words.items():
                value = value.replace(word, real)
            return value

        root = base / "root"
        for path, content in {"main.tf": failure.code, **failure.files}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(fix(content))
        (base / "bin").mkdir()
        (base / "data").mkdir()
        (base / "bin/terraform").symlink_to(str(shutil.which("terraform")))
        (base / "broken").write_text("provider_installation {")
        failure.before(root)
        blocks = f'filesystem_mirror {{ path = "{mirror}" }}\n'
        if (base / "mirror").exists():
            blocks = f'filesystem_mirror {{ path = "{base}/mirror" }}\n'
        if failure.direct:
            blocks = "direct {}\n"
        (base / "rc").write_text(f"provider_installation {{\n{blocks}}}\n")
        environment = {
            "PATH": os.environ["PATH"], "HOME": text, "TMPDIR": text, "GOGC": "400",
            "TF_CLI_CONFIG_FILE": f"{base}/rc", "CHECKPOINT_DISABLE": "1", "TF_INPUT": "0",
            "TF_IN_AUTOMATION": "1", "AWS_EC2_METADATA_DISABLED": "true",
            "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o StrictHostKeyChecking=no",
        }  # fmt: skip
        environment |= {k: fix(v) for k, v in failure.environment.items()}
        for command in failure.commands:
            if command[0] == "edit":
                main = root / "main.tf"
                main.write_text(main.read_text().replace(command[1], command[2]))
                continue
            last = command == failure.commands[-1]
            process = subprocess.Popen(
                [*(failure.wrapper if last else ()), str(shutil.which("terraform")), *command],
                cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            if last and failure.during:
                failure.during(process.pid)
            stdout, stderr = process.communicate(timeout=180)
            if not last and process.returncode:
                return f"{name}: FAILED EARLY in {command}: {stdout}{stderr}"
        phase = "plan" if command[0] == "plan" else "init"
    kept = {
        "phase": phase, "exit_code": process.returncode,
        "stdout": scrub(stdout, text, mirror, cloud), "stderr": scrub(stderr, text, mirror, cloud),
    }  # fmt: skip
    (HERE / "failures" / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")
    return f"{name}: {phase} exit {process.returncode}"


def scrub(text: str, base: str, mirror: str, cloud: str) -> list[str]:
    for real, shown in ((mirror, "/mirror"), (base, ""), (cloud, "http://cloud.example")):
        text = text.replace(real, shown)
        text = text.replace(real.removeprefix("http://"), shown.removeprefix("http://"))
    # The machine's name server, and who ran it.
    text = re.sub(r"on [\d.]+:53: no such host", "on 192.0.2.53:53: no such host", text)
    text = re.sub(r"(Who: +)\S+@[\w.-]+", r"\1ann@host", text)
    return [line for line in text.splitlines() if '"type":"refresh' not in line]


def main(mirror: str, names: list[str]) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    cloud = f"http://127.0.0.1:{server.server_port}"
    for name in names or FAILURES:
        try:
            for _ in range(TRIES):
                said = record(name, FAILURES[name], cloud, mirror)
                recorded = HERE / "failures" / f"{name}.json"
                if recorded.exists() and FAILURES[name].until in recorded.read_text():
                    break
            print(said, flush=True)
        except Exception as error:
            print(f"{name}: FAILED {error!r}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
