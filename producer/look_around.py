"""All repositories of a sweep, several at a time: what is in trouble ends no other."""

import random
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

from driftfleet.errors import (
    GitHubNotFound,
    GitHubRefused,
    GitHubUnavailable,
    RepositoryEmpty,
    SourceRefused,
)
from driftfleet.github.client import GitHub
from driftfleet.settings import DiscoverySettings
from producer.found import Outlook, Trouble, merged
from producer.look import Access, look_at
from producer.parallel import Begun, Done, each
from producer.repositories import Wanted

# They wait for the network most of the time; each fetches with several connections.
_THREADS = 4
# A server that left so many unanswered, one after the other, is asked whether it is there at all.
_DOUBTED_AFTER = 8
_PROBE_SECONDS = 30.0
# It says that it is; but so many in a row, of an order that is random, are hardly ever chance, and
# each may take minutes.
_GIVEN_UP_AFTER = 64

Progress = Callable[[int, Sequence[str]], None]


def look_at_all(
    wanted: Sequence[Wanted], access: Access, settings: DiscoverySettings, progress: Progress
) -> Outlook:
    """Look at several repositories at a time; what is in trouble ends no other.

    Each sweep has an order of its own, so that what one did not come to another does.
    ``progress`` gets how many are done, and the names of those that are being looked at.

    Raises
    ------
    ConfigurationError
        Credentials were refused (`CredentialsRefused`), or a secret is not there.
    SecretUnavailable
        The place that keeps the token did not answer.
    """
    outlooks: dict[str, Outlook] = {}
    running: list[str] = []
    unanswered = 0
    order = random.sample(wanted, len(wanted))
    with closing(_events(order, access, settings)) as events:
        for event in events:
            if isinstance(event, Begun):
                running.append(event.item.name)
            else:
                running.remove(event.item.name)
                outlooks[event.item.name] = event.result.outlook
                unanswered = unanswered + 1 if event.result.unanswered else 0
            progress(len(outlooks), running)
            if isinstance(event, Done) and _is_gone(access.github, unanswered):
                break
    reason = f"{access.github.host.name} left {unanswered} others in a row unanswered"
    return merged(outlooks.get(one.name) or _not_asked(one, reason) for one in wanted)


def _is_gone(github: GitHub, unanswered: int) -> bool:
    """Whether the server answers nobody, after so many unanswered in a row, or as good as nobody.

    Repositories that are broken may well lie beside each other, and say nothing of the next.
    """
    if unanswered == 0 or unanswered % _DOUBTED_AFTER:
        return False
    if unanswered >= _GIVEN_UP_AFTER:
        return True
    with github.until(time.monotonic() + _PROBE_SECONDS):
        try:
            github.get("/meta")
        except GitHubUnavailable:
            return True
        except GitHubRefused:
            return False
    return False


@dataclass(frozen=True)
class _Looked:
    outlook: Outlook
    unanswered: bool = False


def _events(
    wanted: Sequence[Wanted], access: Access, settings: DiscoverySettings
) -> Generator[Begun[Wanted] | Done[Wanted, _Looked], None, None]:
    return each(wanted, lambda one: _try(one, access, settings), _THREADS)


def _try(wanted: Wanted, access: Access, settings: DiscoverySettings) -> _Looked:
    name, unanswered = wanted.name, False
    try:
        return _Looked(look_at(wanted, access, settings))
    except RepositoryEmpty:
        return _Looked(Outlook(messages=(f"{name}: is empty: it has no commit yet",)))
    except GitHubUnavailable as error:
        reason, unanswered = f"{name}: can't be looked at now: {error.message}", True
    except GitHubNotFound as error:
        reason = f"{name}: {error.message}"
    except (GitHubRefused, SourceRefused) as error:
        reason = f"{name}: can't be looked at: {error.message}"
    return _Looked(Outlook(troubles=(Trouble(name, reason),)), unanswered)


def _not_asked(wanted: Wanted, reason: str) -> Outlook:
    return Outlook(troubles=(Trouble(wanted.name, f"{wanted.name}: was not asked for: {reason}"),))
