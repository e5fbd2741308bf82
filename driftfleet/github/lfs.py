"""Git LFS: a repository holds a pointer where the file's content is kept elsewhere. Pure."""

# The specification asks for this line first and for less than 1,024 bytes:
# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md. The others are its older names.
_VERSIONS = (
    b"version https://git-lfs.github.com/spec/",
    b"version https://hawser.github.com/spec/",
    b"version http://git-media.io/v/",
)
_LONGEST = 1024


def is_pointer(content: bytes) -> bool:
    """Whether a file is an LFS pointer, which a plan would take for the file itself."""
    return (
        len(content) < _LONGEST
        and content.startswith(_VERSIONS)
        and b"\noid " in content
        and b"\nsize " in content
    )
