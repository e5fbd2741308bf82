"""What a tick tells of the whole fleet, in metrics."""

from collections import Counter

from driftfleet.errors import ContractError
from driftfleet.heartbeat import HEARTBEAT_KEY, Heartbeat
from driftfleet.ledger import Ledger
from driftfleet.metrics import Meter
from driftfleet.store import ResultStore
from producer.broker import Broker
from producer.tick import Ticked


def measure(
    ticked: Ticked, ledger: Ledger, broker: Broker, store: ResultStore, meter: Meter
) -> None:
    """Tell it. Raises `BrokerUnavailable`, `StoreUnavailable`: then there is none this minute."""
    now = ledger.now()
    mended = ticked.mended
    if mended.put_back:
        meter.checks_put_back(mended.put_back)
    for _ in range(mended.closed):
        meter.sweep_closed()
    for _ in range(mended.overdue):
        meter.sweep_closed(by_deadline=True)
    sweeps = ledger.open_sweeps()
    meter.sweeps(open_now=len(sweeps), overdue=sum(one.deadline <= now for one in sweeps))
    oldest = broker.oldest_sent_at()
    meter.queue(
        waiting=broker.length(),
        running=sum(len(ledger.running(sweep.sweep_id)) for sweep in sweeps),
        later=broker.put_off(),
        age_seconds=max(0.0, now - oldest) if oldest is not None else 0.0,
    )
    judged = ledger.roots(one.repo for one in ticked.swept)
    if judged:
        meter.roots_by_verdict(Counter(one.verdict for one in judged if one.verdict))
        meter.staleness(max(0.0, now - min(one.at for one in judged)))
    try:
        beat = store.record(Heartbeat, HEARTBEAT_KEY)
    except ContractError:
        beat = None
    if beat is not None:
        meter.heartbeat(age_seconds=max(0.0, now - beat.stored_at))
