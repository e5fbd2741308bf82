"""The dashboard in each kind of store."""

from typing import Any

from driftfleet.publishing import publish
from driftfleet.report.links import INDEX_KEY
from driftfleet.results import Verdict
from driftfleet.settings import Settings
from driftfleet.store.objects import ObjectStore
from producer.report_server import ReportServer
from tests.s3 import S3
from tests.site_links import broken_links
from tests.sites import AT, HOUR, swept


def test_pages_are_made_and_made_anew_where_something_changed(objects: ObjectStore) -> None:
    swept(objects, ["a", "b/c", "x%20 y"], Verdict.DRIFTED)
    assert publish(objects, Settings(), AT).pages == 6
    assert broken_links(objects) == []
    swept(objects, ["a"], number=2, at=AT + HOUR)
    assert publish(objects, Settings(), AT + HOUR).pages == 4
    assert broken_links(objects) == []
    with ReportServer(objects, 0) as server:
        assert server.answer(f"/{INDEX_KEY}").body == objects.get(INDEX_KEY)


def test_a_bucket_says_what_pages_are(s3: S3) -> None:
    """Else a browser would show their text, or save them."""
    from driftfleet.store import open_objects  # noqa: PLC0415 - with the keys of the fixture

    settings = s3.settings(s3.make_bucket(), prefix="fleet")
    swept(open_objects(settings), ["a"])
    publish(open_objects(settings), Settings(), AT)
    bucket = settings.store.split("/")[2]
    listed: Any = s3.client.list_objects_v2(Bucket=bucket, Prefix="fleet/site")
    kinds = {}
    for one in listed["Contents"]:
        head: Any = s3.client.head_object(Bucket=bucket, Key=one["Key"])
        kinds[one["Key"].rpartition(".")[2]] = head["ContentType"].partition(";")[0]
    assert kinds == {
        "html": "text/html", "css": "text/css", "js": "text/javascript",
        "svg": "image/svg+xml", "json": "application/json",
    }  # fmt: skip
    assert INDEX_KEY.endswith(".html")
