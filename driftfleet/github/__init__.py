"""The one client of GitHub: an Enterprise Server, or github.com, over its REST API."""
