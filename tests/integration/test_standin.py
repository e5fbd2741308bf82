"""The stand-in for GitHub Enterprise Server, held against httpx, git and GitHub's description."""

import base64
import gzip
import io
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.conftest import lacking
from tests.standin import App, Executable, Fault, Link, StandIn, Submodule
from tests.standin.openapi import Validation
from tests.standin.repositories import File, git, git_environment

REPO = "payments/infra"
SHA_ONLY = {"Accept": "application/vnd.github.sha"}
RAW = {"Accept": "application/vnd.github.raw+json"}
FILES: dict[str, File] = {
    "env/main.tf": "locals {}\n",
    "env/run.sh": Executable("#!/bin/sh\n"),
    "env/latest": Link("main.tf"),
    "vendor/lib": Submodule("https://git.example.com/lib.git", "1" * 40),
    "kept/out.md": "not for archives\n",
    ".gitattributes": "kept/** export-ignore\n",
}


@pytest.fixture
def client(ghe: StandIn) -> Iterator[httpx.Client]:
    """A client with the stand-in's token."""
    headers = {"Authorization": f"Bearer {ghe.token}"}
    with httpx.Client(base_url=ghe.api_url, headers=headers, timeout=30) as client:
        yield client


def clone(url: str, target: Path) -> subprocess.CompletedProcess[bytes]:
    """A real git client that asks nobody for a password."""
    environment = {**git_environment(), "GIT_TERMINAL_PROMPT": "0"}
    command = ["git", "clone", "--quiet", url, str(target)]
    return subprocess.run(command, env=environment, capture_output=True, check=False)


def with_password(ghe: StandIn, token: str) -> str:
    return ghe.url.replace("://", f"://anyone:{token}@")


class TestDescription:
    def test_is_there(self) -> None:
        """Without GitHub's description nothing is validated: this test's skip says so."""
        if reason := Validation().lacking:
            lacking(reason)

    def test_violations_are_found(self, tmp_path: Path) -> None:
        """A validation that finds nothing in what is wrong would be worth nothing."""
        self.test_is_there()
        hostile = {"sha": "a", "truncated": False, "tree": [{"path": 7, "mode": "1", "type": "t"}]}
        with StandIn(tmp_path) as ghe:
            sha = ghe.add_repository(REPO, FILES)
            headers = {"Authorization": f"Bearer {ghe.token}"}
            with httpx.Client(base_url=ghe.api_url, headers=headers) as client:
                client.get("/orgs/payments/repos", params={"per_page": "many"})
                client.get("/orgs/payments/repos", params={"pages": "1"})
                client.get("/repos/payments/infra/nonsense")
                injected = Fault("wrong on purpose", Fault.json(hostile).alter)
                ghe.fault("/git/trees/", injected)
                client.get(f"/repos/{REPO}/git/trees/{sha}")
            found = sorted(ghe.violations)
        assert len(found) == 4, found
        assert "/nonsense: is no operation" in "\n".join(found)
        assert "per_page" in "\n".join(found)
        assert "no query parameter pages" in "\n".join(found)
        assert "$.tree[0].path: 7 is not of type 'string'" in "\n".join(found)

    def test_injected_faults_are_not_held_against_it(
        self, ghe: StandIn, client: httpx.Client
    ) -> None:
        ghe.add_repository(REPO, FILES)
        ghe.fault("/commits/", Fault.login_page())
        assert client.get(f"/repos/{REPO}/commits/HEAD").headers["content-type"].startswith("text")
        assert ghe.violations == []


class TestRepositories:
    def test_owner_and_name_ignore_case(self, ghe: StandIn, client: httpx.Client) -> None:
        ghe.add_repository(REPO, FILES, archived=True, topics=["iac"], default_branch="trunk")
        told = client.get("/repos/Payments/INFRA").json()
        assert (told["full_name"], told["default_branch"]) == (REPO, "trunk")
        assert (told["archived"], told["topics"]) == (True, ["iac"])

    def test_renamed_redirects_by_id(self, ghe: StandIn, client: httpx.Client) -> None:
        sha = ghe.add_repository(REPO, FILES)
        ghe.rename(REPO, "payments/platform")
        answer = client.get(f"/repos/{REPO}/commits/HEAD", headers=SHA_ONLY)
        assert answer.status_code == 301
        assert answer.headers["location"].startswith(f"{ghe.api_url}/repositories/")
        assert client.get(answer.headers["location"], headers=SHA_ONLY).text == sha
        moved = client.get(f"/repos/{REPO}", follow_redirects=True)
        assert moved.json()["full_name"] == "payments/platform"

    def test_pages_of_an_organisation(self, ghe: StandIn, client: httpx.Client) -> None:
        for number in range(5):
            ghe.add_repository(f"payments/infra-{number}")
        ghe.add_repository("others/infra")
        names: list[str] = []
        url: str | None = f"{ghe.api_url}/orgs/payments/repos?per_page=2"
        while url:
            answer = client.get(url)
            names += [item["name"] for item in answer.json()]
            assert ("last" in answer.links) == ("next" in answer.links)
            url = answer.links.get("next", {}).get("url")
        assert names == [f"infra-{number}" for number in range(5)]
        assert len(ghe.requests) == 3
        assert client.get("/orgs/nobody/repos").status_code == 404


class TestCommits:
    def test_sha_of_every_kind_of_ref(self, ghe: StandIn, client: httpx.Client) -> None:
        first = ghe.add_repository(REPO, FILES)
        ghe.branch(REPO, "feature/x")
        ghe.tag(REPO, "v1", annotated=True)
        second = ghe.commit(REPO, {"new": "1"}, delete=["env/run.sh"])
        for ref in ("feature%2Fx", "feature/x", "v1", first, first[:10], "heads/feature/x"):
            answer = client.get(f"/repos/{REPO}/commits/{ref}", headers=SHA_ONLY)
            assert (answer.status_code, answer.text) == (200, first), ref
        whole = client.get(f"/repos/{REPO}/commits/HEAD").json()
        assert (whole["sha"], whole["parents"][0]["sha"]) == (second, first)

    def test_not_modified_has_no_body(self, ghe: StandIn, client: httpx.Client) -> None:
        sha = ghe.add_repository(REPO, FILES)
        known = {**SHA_ONLY, "If-None-Match": f'"{sha}"'}
        answer = client.get(f"/repos/{REPO}/commits/HEAD", headers=known)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == f'"{sha}"'
        ghe.commit(REPO, {"new": "1"})
        assert client.get(f"/repos/{REPO}/commits/HEAD", headers=known).status_code == 200

    def test_what_isnt_there(self, ghe: StandIn, client: httpx.Client) -> None:
        ghe.add_repository(REPO, FILES)
        ghe.add_repository("payments/empty")
        statuses = {
            f"/repos/{REPO}/commits/nonsense": 422,
            "/repos/payments/empty/commits/HEAD": 409,
            "/repos/payments/absent/commits/HEAD": 404,
            f"/repos/{REPO}/git/trees/{'0' * 40}": 404,
            "/repos/payments/empty/git/trees/main": 409,
            f"/repos/{REPO}/git/blobs/{'0' * 40}": 404,
            f"/repos/{REPO}/git/blobs/main": 422,
        }
        assert {path: client.get(path).status_code for path in statuses} == statuses


class TestTrees:
    @pytest.mark.parametrize("value", ["1", "0", "true"])
    def test_any_recursive_recurses(self, ghe: StandIn, client: httpx.Client, value: str) -> None:
        sha = ghe.add_repository(REPO, FILES)
        tree = client.get(f"/repos/{REPO}/git/trees/{sha}", params={"recursive": value}).json()
        modes = {item["path"]: (item["mode"], item["type"]) for item in tree["tree"]}
        assert modes["env/main.tf"] == ("100644", "blob")
        assert modes["env/run.sh"] == ("100755", "blob")
        assert modes["env/latest"] == ("120000", "blob")
        assert modes["vendor/lib"] == ("160000", "commit")
        assert modes["env"] == ("040000", "tree")
        assert tree["truncated"] is False

    def test_limit_truncates(self, ghe: StandIn, client: httpx.Client) -> None:
        sha = ghe.add_repository(REPO, FILES)
        whole = client.get(f"/repos/{REPO}/git/trees/{sha}?recursive=1").json()["tree"]
        ghe.tree_limit = 3
        cut = client.get(f"/repos/{REPO}/git/trees/{sha}?recursive=1").json()
        assert (cut["tree"], cut["truncated"]) == (whole[:3], True)
        env = next(item for item in whole if item["path"] == "env")
        below = client.get(env["url"]).json()
        assert [item["path"] for item in below["tree"]] == ["latest", "main.tf", "run.sh"]
        assert (below["sha"], below["truncated"]) == (env["sha"], False)

    def test_sha_may_be_the_one_that_was_asked_for(
        self, ghe: StandIn, client: httpx.Client
    ) -> None:
        sha = ghe.add_repository(REPO, FILES)
        own = client.get(f"/repos/{REPO}/git/trees/{sha}").json()["sha"]
        ghe.tree_tells_asked_sha = True
        assert client.get(f"/repos/{REPO}/git/trees/{sha}").json()["sha"] == sha != own

    def test_blobs_raw_and_json(self, ghe: StandIn, client: httpx.Client) -> None:
        sha = ghe.add_repository(REPO, {"bytes": bytes(range(256))})
        url = client.get(f"/repos/{REPO}/git/trees/{sha}").json()["tree"][0]["url"]
        assert client.get(url, headers=RAW).content == bytes(range(256))
        assert base64.b64decode(client.get(url).json()["content"]) == bytes(range(256))


class TestArchives:
    def test_is_git_archive_behind_a_redirect(self, ghe: StandIn, client: httpx.Client) -> None:
        sha = ghe.add_repository(REPO, FILES)
        first = client.get(f"/repos/{REPO}/tarball/{sha}")
        place = first.headers["location"]
        assert (first.status_code, place.startswith(f"{ghe.url}/_codeload/")) == (302, True)
        content = httpx.get(place).content
        prefix = f"payments-infra-{sha[:7]}/"
        options = ("--format=tar", f"--prefix={prefix}")
        assert gzip.decompress(content) == git(
            ghe.repository(REPO).folder, "archive", *options, sha
        )
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            names = archive.getnames()
        assert f"{prefix}env/main.tf" in names
        assert f"{prefix}kept/out.md" not in names
        assert ghe.requests[-1].token is None

    def test_needs_its_own_token_in_time(self, tmp_path: Path) -> None:
        now = [1_700_000_000.0]
        with StandIn(tmp_path, clock=lambda: now[0]) as ghe:
            sha = ghe.add_repository(REPO, FILES)
            headers = {"Authorization": f"Bearer {ghe.token}"}
            answer = httpx.get(f"{ghe.api_url}/repos/{REPO}/tarball/{sha}", headers=headers)
            place = answer.headers["location"]
            assert httpx.get(place).status_code == 200
            assert httpx.get(place.partition("?")[0], headers=headers).status_code == 404
            assert ghe.requests[-1].token == ghe.token, "what is sent needlessly is recorded"
            now[0] += 301
            assert httpx.get(place).status_code == 404

    def test_may_be_on_another_host(
        self, ghe: StandIn, elsewhere: StandIn, client: httpx.Client
    ) -> None:
        sha = ghe.add_repository(REPO, FILES)
        ghe.archives_on = elsewhere
        place = client.get(f"/repos/{REPO}/tarball/{sha}").headers["location"]
        assert place.startswith(f"{elsewhere.url}/_codeload/")
        assert httpx.get(place).content[:2] == b"\x1f\x8b"


class TestCredentials:
    def test_what_each_may_see(self, ghe: StandIn, client: httpx.Client) -> None:
        ghe.add_repository(REPO, FILES, visible_to=["ghp_other"])
        ghe.accept("ghp_other")
        assert client.get(f"/repos/{REPO}").status_code == 404
        for scheme in ("Bearer", "token"):
            other = {"Authorization": f"{scheme} ghp_other"}
            assert client.get(f"/repos/{REPO}", headers=other).status_code == 200

    def test_rotation_and_the_lockout(self, ghe: StandIn, client: httpx.Client) -> None:
        ghe.add_repository(REPO, FILES, visible_to=[ghe.token])
        ghe.rotate("ghp_new")
        ghe.lock_out_after = 2
        refused = client.get(f"/repos/{REPO}")
        assert (refused.status_code, refused.json()["message"]) == (401, "Bad credentials")
        new = {"Authorization": "Bearer ghp_new"}
        assert client.get(f"/repos/{REPO}", headers=new).status_code == 200
        assert client.get(f"/repos/{REPO}").status_code == 401
        assert client.get(f"/repos/{REPO}", headers=new).status_code == 403
        assert ghe.refused_credentials == 2

    def test_without_any(self, ghe: StandIn) -> None:
        ghe.add_repository(REPO, FILES, private=False)
        ghe.add_repository("payments/hidden", FILES)
        assert httpx.get(f"{ghe.api_url}/repos/{REPO}").status_code == 401
        ghe.private_mode = False
        assert httpx.get(f"{ghe.api_url}/repos/{REPO}").status_code == 200
        assert httpx.get(f"{ghe.api_url}/repos/payments/hidden").status_code == 404
        assert httpx.get(f"{ghe.api_url}/user").status_code == 401

    def test_headers_that_are_asked_for(self, ghe: StandIn, client: httpx.Client) -> None:
        assert client.get("/user").json()["login"] == ghe.login
        meta = client.get("/meta")
        assert meta.json()["installed_version"] == meta.headers["x-github-enterprise-version"]
        assert client.get("/meta", headers={"User-Agent": ""}).status_code == 403
        old = {"X-GitHub-Api-Version": "2001-01-01"}
        assert client.get("/meta", headers=old).status_code == 400

    def test_tokens_of_an_app(self, ghe: StandIn, client: httpx.Client) -> None:
        ghe.add_repository(REPO, FILES)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        ghe.app = App(id=7, installation=70, public_key=public.decode())
        now = int(time.time())

        def exchange(**claims: int | str) -> httpx.Response:
            good = {"iss": "7", "iat": now - 30, "exp": now + 540}
            token = jwt.encode({**good, **claims}, key, algorithm="RS256")
            bearer = {"Authorization": f"Bearer {token}"}
            return client.post("/app/installations/70/access_tokens", headers=bearer)

        assert [exchange(**bad).status_code for bad in (
            {"iss": "8"}, {"exp": now - 1}, {"exp": now + 3600}, {"iat": now + 300}
        )] == [401] * 4  # fmt: skip
        made = exchange()
        assert made.status_code == 201
        installed = {"Authorization": f"Bearer {made.json()['token']}"}
        assert client.get(f"/repos/{REPO}", headers=installed).status_code == 200


class TestLimits:
    def test_off_as_delivered(self, ghe: StandIn, client: httpx.Client) -> None:
        answer = client.get("/rate_limit")
        assert answer.status_code == 404
        assert "x-ratelimit-remaining" not in answer.headers

    def test_counts_down_and_resets(self, tmp_path: Path) -> None:
        now = [1_700_000_000.0]
        with StandIn(tmp_path, clock=lambda: now[0]) as ghe:
            ghe.rate_limited(5000, remaining=1, reset=now[0] + 60)
            headers = {"Authorization": f"Bearer {ghe.token}"}
            with httpx.Client(base_url=ghe.api_url, headers=headers) as client:
                assert client.get("/rate_limit").json()["rate"]["remaining"] == 1
                assert client.get("/user").headers["x-ratelimit-remaining"] == "0"
                refused = client.get("/user")
                assert refused.status_code == 403
                assert refused.headers["x-ratelimit-reset"] == "1700000060"
                now[0] += 61
                assert client.get("/user").status_code == 200
            assert ghe.violations == []


class TestGit:
    def test_clone_needs_the_token(self, ghe: StandIn, tmp_path: Path) -> None:
        ghe.add_repository(REPO, FILES)
        good = clone(f"{with_password(ghe, ghe.token)}/{REPO}.git", tmp_path / "good")
        assert good.returncode == 0, good.stderr
        assert (tmp_path / "good/env/main.tf").read_text() == "locals {}\n"
        assert {(r.user, r.authorised) for r in ghe.requests} == {("anyone", True), (None, False)}
        for number, url in enumerate((ghe.url, with_password(ghe, "ghp_wrong"))):
            bad = clone(f"{url}/{REPO}", tmp_path / f"bad{number}")
            assert bad.returncode != 0
        assert ghe.requests[-1].status == 401

    def test_clone_follows_a_rename_and_hides_what_is_private(
        self, ghe: StandIn, tmp_path: Path
    ) -> None:
        ghe.add_repository(REPO, FILES)
        ghe.add_repository("payments/hidden", FILES, visible_to=[])
        ghe.rename(REPO, "payments/platform")
        url = with_password(ghe, ghe.token)
        assert clone(f"{url}/{REPO}", tmp_path / "moved").returncode == 0
        assert clone(f"{url}/payments/hidden", tmp_path / "hidden").returncode != 0
        assert ghe.requests[-1].status == 404

    def test_another_host_is_given_nothing(
        self, ghe: StandIn, elsewhere: StandIn, tmp_path: Path
    ) -> None:
        """What a test of the credential helper relies on: hosts differ and record apart."""
        elsewhere.add_repository(REPO, FILES, private=False)
        assert ghe.host != elsewhere.host
        assert clone(f"{elsewhere.url}/{REPO}", tmp_path / "public").returncode == 0
        assert [r.token for r in elsewhere.requests] == [None] * len(elsewhere.requests)
        assert ghe.requests == []


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "status", "header"),
        [
            (Fault.primary_limit(1_700_000_000), 403, ("x-ratelimit-reset", "1700000000")),
            (Fault.primary_limit(1, status=429), 429, ("x-ratelimit-remaining", "0")),
            (Fault.secondary_limit(7), 403, ("retry-after", "7")),
            (Fault.secondary_limit(status=429), 429, ("retry-after", None)),
            (Fault.server_error(503, 3), 503, ("retry-after", "3")),
            (Fault.server_error(), 502, ("content-type", "text/html; charset=utf-8")),
            (Fault.login_page(), 200, ("content-type", "text/html; charset=utf-8")),
            (Fault.bad_credentials(), 401, ("retry-after", None)),
            (Fault.unprocessable(), 422, ("retry-after", None)),
            (Fault.redirect("http://127.0.0.9/"), 302, ("location", "http://127.0.0.9/")),
        ],
        ids=lambda value: value.name if isinstance(value, Fault) else None,
    )
    def test_answers(
        self,
        ghe: StandIn,
        client: httpx.Client,
        fault: Fault,
        status: int,
        header: tuple[str, str | None],
    ) -> None:
        sha = ghe.add_repository(REPO, FILES)
        ghe.fault(r"/git/trees/.*recursive=", fault)
        path = f"/repos/{REPO}/git/trees/{sha}"
        assert client.get(path).status_code == 200, "another request isn't spoiled"
        answer = client.get(path, params={"recursive": "1"})
        assert answer.status_code == status
        assert answer.headers.get(header[0]) == header[1]
        assert ghe.requests[-1].fault == fault.name
        assert client.get(path, params={"recursive": "1"}).status_code == 200, "only once"

    def test_after_and_times(self, ghe: StandIn, client: httpx.Client) -> None:
        ghe.fault("/user", Fault.bad_credentials(), after=2, times=None)
        statuses = [client.get("/user").status_code for _ in range(5)]
        assert statuses == [200, 200, 401, 401, 401]
        ghe.heal()
        assert client.get("/user").status_code == 200

    def test_dropped_connection(self, ghe: StandIn, client: httpx.Client) -> None:
        ghe.fault("/user", Fault.drop())
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("/user")
        assert client.get("/user").status_code == 200

    def test_cut_bodies(self, ghe: StandIn, client: httpx.Client) -> None:
        """With a length and in chunks, neither ends as a whole one would."""
        sha = ghe.add_repository(REPO, FILES)
        ghe.fault("/user", Fault.cut(50))
        with pytest.raises(httpx.RemoteProtocolError, match="received 50 bytes"):
            client.get("/user")
        ghe.fault("/_codeload", Fault.cut(100))
        with pytest.raises(httpx.RemoteProtocolError, match="chunked"):
            client.get(f"/repos/{REPO}/tarball/{sha}", follow_redirects=True)
        assert ghe.requests[-1].sent == 100

    def test_slow_bodies_and_headers(self, ghe: StandIn, client: httpx.Client) -> None:
        """Each is slower than the client's patience, and arrives whole for one that waits."""
        for fault in (Fault.slow_body(0.05, 500), Fault.slow_headers(0.01), Fault.delay(0.05)):
            ghe.fault("/user", fault)
            assert client.get("/user").json()["login"] == ghe.login
        for fault in (Fault.slow_body(600), Fault.slow_headers(600), Fault.delay(600)):
            ghe.fault("/user", fault)
            with pytest.raises(httpx.ReadTimeout):
                client.get("/user", timeout=httpx.Timeout(30, read=0.2))

    def test_other_bytes(self, ghe: StandIn, client: httpx.Client) -> None:
        sha = ghe.add_repository(REPO, FILES)
        path = f"/repos/{REPO}/git/trees/{sha}"
        whole = client.get(path).json()["tree"]
        ghe.fault("/git/trees/", Fault.without_entry("env"))
        assert "env" not in [item["path"] for item in client.get(path).json()["tree"]]
        ghe.fault("/git/trees/", Fault.rewrite(lambda tree: {**tree, "tree": []}))
        assert client.get(path).json()["tree"] == []
        assert client.get(path).json()["tree"] == whole
        attributes = next(item for item in whole if item["path"] == ".gitattributes")
        right = client.get(attributes["url"], headers=RAW).content
        ghe.fault("/git/blobs/", Fault.wrong_bytes())
        wrong = client.get(attributes["url"], headers=RAW).content
        assert (len(wrong), wrong == right) == (len(right), False)
        ghe.fault("/_codeload/", Fault.archive(b"hostile"))
        archive = client.get(f"/repos/{REPO}/tarball/{sha}", follow_redirects=True)
        assert archive.content == b"hostile"

    def test_the_servers_own_mistakes_are_violations(self, tmp_path: Path) -> None:
        with StandIn(tmp_path) as ghe:
            ghe.fault("/user", Fault("broken", lambda _: 1 // 0))  # type: ignore[arg-type,return-value]
            assert httpx.get(f"{ghe.api_url}/user").status_code == 500
            assert "ZeroDivisionError" in ghe.violations[0]


class TestBigRepositories:
    def test_monorepo_has_its_figures(
        self, ghe: StandIn, client: httpx.Client, monorepo: Path
    ) -> None:
        ghe.add_repository("payments/mono", bare=monorepo)
        tree = client.get("/repos/payments/mono/git/trees/main?recursive=1").json()
        files = {item["path"]: item["size"] for item in tree["tree"] if item["type"] == "blob"}
        terraform = [path for path in files if path.endswith(".tf")]
        assert (len(files), len(terraform)) == (5800, 4000)
        assert len({path.rpartition("/")[0] for path in terraform}) == 340
        assert sum(path.endswith("backend.tf") for path in files) == 172
        assert 25_900_000 < sum(files.values()) < 26_100_000
        assert tree["truncated"] is False

    def test_wide_tree_is_truncated(
        self, ghe: StandIn, client: httpx.Client, wide_tree: Path
    ) -> None:
        ghe.add_repository("payments/wide", bare=wide_tree)
        cut = client.get("/repos/payments/wide/git/trees/main?recursive=1").json()
        assert (len(cut["tree"]), cut["truncated"]) == (100_000, True)
        top = client.get("/repos/payments/wide/git/trees/main").json()["tree"]
        part = client.get(top[0]["url"], params={"recursive": "1"}).json()
        assert (len(top), part["truncated"]) == (20, False)
        assert 190_000 < len(top) * len(part["tree"]) <= 201_000
