"""The dashboard's pages, made from what is in the store and written beside it."""

from driftfleet.publishing.publisher import Published, publish

__all__ = ["Published", "publish"]
