"""Writes scaledobject.yaml beside it: KEDA counts one list a trigger, and the fleet has 128.

    .venv/bin/python deploy/kubernetes/components/autoscaling/scaledobject.py

docs/adr/0024 says why it is these, and what else was weighed.
"""

import textwrap
from pathlib import Path

from producer.broker import queue_keys

FILE = Path(__file__).with_name("scaledobject.yaml")
# What a worker that is asked for may find waiting for each of its slots.
ROUNDS = 4
_SLOTS = 2

_HEAD = """\
# Written by scaledobject.py, all of it.
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: driftfleet-worker
  labels:
    app.kubernetes.io/name: driftfleet
    app.kubernetes.io/part-of: driftfleet
spec:
  scaleTargetRef: {{name: driftfleet-worker}}
  # One at least: the heartbeat goes through a worker, and without it an alarm rings.
  minReplicaCount: 1
  maxReplicaCount: 10
  pollingInterval: 30
  # No `fallback`: where Redis can't be asked the autoscaler leaves all as it is, and plans go on.
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleUp:
          stabilizationWindowSeconds: 0
          policies:
            - {{type: Pods, value: 4, periodSeconds: 60}}
            - {{type: Percent, value: 100, periodSeconds: 60}}
        # Which pod goes is not ours to say: it may be one that plans, and what isn't done within
        # worker.drain_seconds begins anew elsewhere. So only what wasn't needed for ten minutes,
        # and slowly.
        scaleDown:
          stabilizationWindowSeconds: 600
          policies:
            - {{type: Pods, value: 1, periodSeconds: 120}}
            - {{type: Percent, value: 25, periodSeconds: 120}}
    scalingModifiers:
      # worker.concurrency: slots that are needed, by the slots of a worker.
      target: "{slots}"
      metricType: AverageValue
      # A slot for each check that runs, and one for every {rounds} that wait.
      formula: >-
{formula}
  triggers:
    # What workers have taken and not answered.
{running}
    # What waits, by queue and priority; kombu puts \\x06\\x16 between the two. What was put off
    # (driftfleet:later) waits for its time and not for a slot.
"""


def text() -> str:
    """The manifest."""
    waiting = {f"w{number:03d}": key for number, key in enumerate(queue_keys())}
    formula = f"({' + '.join(waiting)}) / {ROUNDS} + running"
    head = _HEAD.format(
        slots=_SLOTS,
        rounds=ROUNDS,
        formula=textwrap.indent(textwrap.fill(formula, 100), " " * 8),
        running=_trigger("running", "unacked"),
    )
    return head + "\n".join(_trigger(name, key) for name, key in waiting.items()) + "\n"


def _trigger(name: str, key: str) -> str:
    quoted = key.replace("\x06", "\\x06").replace("\x16", "\\x16")
    return f"""\
    - type: redis
      name: {name}
      useCachedMetrics: true
      metadata: {{listName: "{quoted}"}}
      authenticationRef: {{name: driftfleet-redis}}"""


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
