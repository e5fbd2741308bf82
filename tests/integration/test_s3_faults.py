"""A store in S3 when S3, or the way to it, fails: tried again, and then explained."""

import contextlib
import itertools
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable

import pytest

from driftfleet.aws_client import OwnClient
from driftfleet.configuration import environment_of, process_environment
from driftfleet.errors import StoreUnavailable
from driftfleet.s3_settings import place_of
from driftfleet.settings import Settings
from driftfleet.store import open_objects
from driftfleet.store.objects import ObjectStore
from driftfleet.store.s3 import S3Objects
from driftfleet.store.s3_client import connect
from producer.doctor.store import results
from tests.conftest import require_faketime
from tests.s3 import S3
from tests.s3_proxy import Fault, S3Proxy

SLOW_DOWN = {"status": 503, "code": "SlowDown", "message": "Please reduce your request rate."}
ALWAYS = 99
ATTEMPTS = 4

OPERATIONS: dict[str, tuple[str, Callable[[ObjectStore], object], object]] = {
    "put": ("PUT", lambda objects: objects.put("a/new", b"one"), None),
    "put where there is none": ("PUT", lambda o: o.put_if("a/new", b"one", None), True),
    "get": ("GET", lambda objects: objects.get("a/old"), b"old"),
    "list": ("GET", lambda objects: list(objects.keys("a/")), ["a/old"]),
    "delete": ("DELETE", lambda objects: objects.delete("a/old"), None),
}
operations = pytest.mark.parametrize("operation", OPERATIONS)


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        SLOW_DOWN,
        {"how": "reset"},
        {"how": "reset after"},
        {"how": "hang"},
        {"how": "hang after"},
    ],
    ids=lambda fault: fault.get("how") or fault["status"],
)
@operations
def test_what_passes_is_tried_again_and_done(
    impatient: S3Objects, proxy: S3Proxy, operation: str, fault: dict[str, object]
) -> None:
    method, act, expected = OPERATIONS[operation]
    impatient.put("a/old", b"old")
    proxy.faults = [Fault(method=method, times=1, **fault)]
    assert act(impatient) == expected
    assert proxy.faults[0].times == 0
    if operation.startswith("put"):
        assert impatient.get("a/new") == b"one"
    if operation == "delete":
        assert impatient.get("a/old") is None


def test_an_object_whose_second_half_is_lost_is_read_again(
    impatient: S3Objects, proxy: S3Proxy
) -> None:
    impatient.put("a", b"x" * 100_000)
    proxy.faults = [Fault("half", method="GET")]
    assert impatient.get("a") == b"x" * 100_000
    proxy.faults = [Fault("half", method="GET", times=ALWAYS)]
    with pytest.raises(StoreUnavailable, match=r"can't be read: the connection to .* broke"):
        impatient.get("a")


@operations
def test_what_doesnt_pass_is_an_error_that_says_what_s3_said(
    impatient: S3Objects, proxy: S3Proxy, operation: str
) -> None:
    method, act, _ = OPERATIONS[operation]
    proxy.faults = [Fault(method=method, times=ALWAYS, status=500)]
    with pytest.raises(StoreUnavailable) as caught:
        act(impatient)
    said = caught.value.message
    assert impatient.describe("a/") in said
    assert "S3 says InternalError (request 4442587FB7D0A2F9)" in said
    assert len(proxy.requests(method)) == ATTEMPTS
    told = "".join(traceback.format_exception(caught.value))
    assert "botocore" not in told
    assert "Signature" not in told


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 409, "code": "OperationAborted"},
        {"status": 412, "code": "PreconditionFailed"},
        {"status": 404, "code": "NoSuchKey"},
    ],
)
def test_a_write_without_a_condition_that_is_refused_is_an_error(
    impatient: S3Objects, proxy: S3Proxy, fault: dict[str, object]
) -> None:
    proxy.faults = [Fault(method="PUT", times=ALWAYS, **fault)]  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable, match=f"S3 says {fault['code']}"):
        impatient.put("a", b"")


@pytest.mark.parametrize("status", [200, 404])
def test_an_endpoint_that_is_something_else_is_an_error(
    impatient: S3Objects, proxy: S3Proxy, status: int
) -> None:
    proxy.faults = [Fault(status=status, body=b"<html>Welcome!", method="GET", times=ALWAYS)]
    with pytest.raises(StoreUnavailable, match="can't be listed"):
        list(impatient.keys("a/"))


@pytest.mark.parametrize("body", [b"<html><body>Log in</body></html>", b""])
def test_one_that_says_yes_to_everything_has_taken_nothing(
    impatient: S3Objects, proxy: S3Proxy, body: bytes
) -> None:
    """Such as a proxy's page to log in: what it is told is lost."""
    proxy.faults = [Fault(status=200, body=body, times=ALWAYS)]
    for ask in (
        lambda: impatient.put("a", b"1"),
        lambda: impatient.put_if("a", b"1", None),
        lambda: impatient.put_if("a", b"1", "tag"),
        lambda: impatient.get("a"),
        lambda: impatient.get_tagged("a"),
        lambda: list(impatient.keys("")),
    ):
        with pytest.raises(StoreUnavailable, match="answers with something else than S3"):
            ask()


def test_a_server_that_hangs_is_an_error_in_time(impatient: S3Objects, proxy: S3Proxy) -> None:
    proxy.faults = [Fault("hang", times=ALWAYS)]
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="doesn't answer in time"):
        impatient.get("a")
    assert time.monotonic() - began < 30
    assert len(proxy.asked) == ATTEMPTS


def test_as_it_is_set_up_a_server_that_hangs_is_an_error_within_twenty_seconds(
    s3: S3,
) -> None:
    told = connect(s3.settings().s3, {}).meta.config  # type: ignore[attr-defined]
    assert told.retries["total_max_attempts"] * told.read_timeout <= 20
    assert told.retries["total_max_attempts"] * told.connect_timeout <= 20


def test_a_server_that_isnt_there_is_named(s3: S3) -> None:
    objects = open_objects(s3.settings(endpoint="http://127.0.0.1:9"))
    with pytest.raises(StoreUnavailable, match=r"http://127\.0\.0\.1:9 can't be reached"):
        objects.put("a", b"")


class TestWhoWrote:
    """A write with a condition whose answer was lost."""

    @pytest.mark.parametrize("how", ["reset after", "hang after"])
    def test_whoever_wrote_is_told_so(self, impatient: S3Objects, proxy: S3Proxy, how: str) -> None:
        proxy.faults = [Fault(how, method="PUT")]  # type: ignore[arg-type]
        assert impatient.put_if("a", b"one", None)
        body, tag = impatient.get_tagged("a") or (b"", "")
        proxy.faults = [Fault(how, method="PUT")]  # type: ignore[arg-type]
        assert impatient.put_if("a", b"two", tag)
        assert (body, impatient.get("a")) == (b"one", b"two")

    def test_whoever_would_have_written_the_same_is_not(
        self, impatient: S3Objects, proxy: S3Proxy
    ) -> None:
        """Of two who close a sweep with the same words one alone has closed it."""
        assert impatient.put_if("a", b"same", None)
        proxy.faults = [Fault("reset", method="PUT")]
        assert not impatient.put_if("a", b"same", None)

    def test_whose_write_was_replaced_meanwhile_is_not(
        self, impatient: S3Objects, proxy: S3Proxy
    ) -> None:
        impatient.put("a", b"another's")
        proxy.faults = [Fault("reset", method="PUT")]
        assert not impatient.put_if("a", b"ours", None)
        assert impatient.get("a") == b"another's"


CONFLICT = {"status": 409, "code": "ConditionalRequestConflict", "message": "Try again."}


class TestConflicts:
    """Two writes at one moment, of which S3 takes none at first."""

    def test_it_is_tried_again_with_growing_pauses(self, proxied_s3: S3, proxy: S3Proxy) -> None:
        pauses: list[float] = []
        settings = proxied_s3.settings()
        objects = S3Objects(
            place_of(settings.store),
            settings.s3,
            OwnClient(lambda: proxied_s3.client),
            sleep=pauses.append,
        )
        proxy.faults = [Fault(method="PUT", times=3, **CONFLICT)]
        assert objects.put_if("a", b"one", None)
        assert len(pauses) == 3
        assert pauses[0] < pauses[2]
        proxy.faults = [Fault(method="PUT", times=ALWAYS, **CONFLICT)]
        with pytest.raises(StoreUnavailable, match="written by others each of 6 times"):
            objects.put_if("b", b"one", None)
        assert 0 < sum(pauses[3:]) < 3

    def test_who_loses_it_in_the_end_is_told(self, impatient: S3Objects, proxy: S3Proxy) -> None:
        impatient.put("a", b"another's")
        proxy.faults = [Fault(method="PUT", times=1, **CONFLICT)]
        assert not impatient.put_if("a", b"ours", None)


class TestClocks:
    """S3 refuses requests of clocks that are a quarter of an hour off."""

    @pytest.mark.parametrize(("date", "words"), [
        ("Thu, 01 Jan 2026 00:00:00 GMT", "s ahead"),
        ("Thu, 01 Jan 2099 00:00:00 GMT", "s behind"),
        ("yesterday", "clock is off"),
    ])  # fmt: skip
    def test_it_is_told_how_far_ours_is_off(
        self, impatient: S3Objects, proxy: S3Proxy, date: str, words: str
    ) -> None:
        skewed = Fault(status=403, code="RequestTimeTooSkewed", headers={"Date": date})
        proxy.faults = [skewed]
        with pytest.raises(StoreUnavailable, match=rf"{words}; set this machine's clock \(NTP\)"):
            impatient.get("a")

    def test_a_machine_whose_clock_is_an_hour_ahead_is_told_so(
        self, proxied_s3: S3, proxy: S3Proxy
    ) -> None:
        settings = Settings(results=proxied_s3.settings())
        code = (
            "from driftfleet.configuration import load_settings\n"
            "from producer.doctor.store import results\n"
            "found = results(load_settings())\n"
            "print(found.level, found.finding)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={
                **process_environment(),
                **environment_of(settings),
                "LD_PRELOAD": require_faketime(),
                "FAKETIME": "+1h",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            },
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stdout.startswith("fail "), done
        assert "this machine's clock is 36" in done.stdout
        assert "s ahead; set this machine's clock (NTP)" in done.stdout


class TestDoctor:
    """What `driftfleet doctor` says of a store in S3."""

    def test_one_that_keeps_its_promises_is_well(self, proxied_s3: S3, proxy: S3Proxy) -> None:
        told = proxied_s3.settings()
        found = results(Settings(results=told))
        assert (found.level, told.store in found.finding) == ("ok", True)
        assert list(open_objects(told).keys("")) == []

    def test_a_server_that_drops_conditions_is_no_store(
        self, proxied_s3: S3, proxy: S3Proxy
    ) -> None:
        proxy.deaf = True
        told = proxied_s3.settings()
        found = results(Settings(results=told))
        assert found.level == "fail"
        assert "a second writer was not refused" in found.finding
        assert "it can't be a result store" in found.mend
        assert list(open_objects(told).keys("")) == []

    @pytest.mark.parametrize(
        ("fault", "words"),
        [
            ({"method": "PUT"}, "allow s3:PutObject on arn:aws:s3:::"),
            ({"method": "GET", "path": "doctor/"}, "allow s3:GetObject on arn:aws:s3:::"),
            ({"method": "GET"}, "s3:ListBucket on arn:aws:s3:::"),
            ({"method": "DELETE"}, "allow s3:DeleteObject on arn:aws:s3:::"),
        ],
    )
    def test_a_right_that_is_missing_is_named(
        self, proxied_s3: S3, proxy: S3Proxy, fault: dict[str, str], words: str
    ) -> None:
        denied = {"status": 403, "code": "AccessDenied", "message": "Access Denied"}
        proxy.faults = [Fault(times=ALWAYS, **denied, **fault)]  # type: ignore[arg-type]
        found = results(Settings(results=proxied_s3.settings()))
        assert found.level == "fail"
        assert words in found.finding
        assert "docs/results.md" in found.mend

    def test_no_such_bucket(self, s3: S3) -> None:
        found = results(Settings(results=s3.settings(bucket="nobodys-bucket")))
        assert found.level == "fail"
        assert "S3 says NoSuchBucket" in found.finding
        assert "make it, or correct results.store" in found.finding


def test_a_list_stops_where_its_reader_does(proxied_s3: S3, proxy: S3Proxy) -> None:
    settings = proxied_s3.settings()
    objects = open_objects(settings)
    keys = [f"a/{number:03}" for number in range(45)]
    for key in keys:
        objects.put(key, b"")
    proxy.page_keys = 10
    for wanted, pages in ((0, 0), (1, 1), (10, 1), (11, 2), (45, 5)):
        del proxy.asked[:]
        assert list(itertools.islice(objects.keys("a/"), wanted)) == keys[:wanted]
        assert len(proxy.calls()) == pages
    del proxy.asked[:]
    assert next(objects.keys("a/", after="a/030")) == "a/031"
    (asked,) = proxy.calls()
    assert asked.query["start-after"] == [f"{place_of(settings.store).prefix}a/030"]
    assert [one.key for one in objects.listing("a/")] == keys
    assert len(proxy.calls()) == 1 + 5


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own(proxied_s3: S3, proxy: S3Proxy) -> None:
    objects = open_objects(proxied_s3.settings())
    objects.put("parent", b"")
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            objects.put("child", b"")
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    objects.put("parent", b"")
    assert list(objects.keys("")) == ["child", "parent"]
