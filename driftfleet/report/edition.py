"""For which moment pages are made."""

from dataclasses import dataclass, field
from datetime import datetime

from driftfleet.report_settings import ReportSettings


@dataclass(frozen=True)
class Edition:
    """What all pages that are made together have in common: every age on them counts to ``at``.

    A page that is ``lasting`` is made anew only when what it shows is another: it tells no ages
    of its own, and however long ago it was made, it is right.
    """

    at: datetime
    settings: ReportSettings = field(default_factory=ReportSettings)
    lasting: bool = False
