"""A stand-in for GitHub Enterprise Server: real HTTP, real git repositories, faults on demand."""

from tests.standin.access import App
from tests.standin.answers import Answer, Request
from tests.standin.faults import Fault, Rule
from tests.standin.repositories import Executable, Link, Repository, Submodule
from tests.standin.server import StandIn

__all__ = [
    "Answer",
    "App",
    "Executable",
    "Fault",
    "Link",
    "Repository",
    "Request",
    "Rule",
    "StandIn",
    "Submodule",
]
