"""What a browser is told that an object is, by the end of its key."""

_TYPES = {
    "css": "text/css; charset=utf-8",
    "gz": "application/gzip",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}


def content_type_of(key: str) -> str:
    """The type, and how its text is encoded where it is one."""
    return _TYPES.get(key.rpartition(".")[2], "application/octet-stream")
