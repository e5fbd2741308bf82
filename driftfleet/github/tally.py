"""How many requests this process has sent to GitHub, through whichever client."""

import threading


class Tally:
    """Counts what any thread adds. It only grows: who wants a part takes a difference."""

    def __init__(self) -> None:
        self._adding = threading.Lock()
        self.total = 0

    def add(self) -> None:
        """One more."""
        with self._adding:
            self.total += 1


SENT = Tally()
