"""How much the operator wrote, read from its own metrics."""

import re
from collections import Counter

from e2e.context import Context
from e2e.installation import Installation

METRIC = re.compile(r"^haizen_operator_api_writes_total\{([^}]*)\} ([0-9.e+]+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


def operator_writes(context: Context) -> Counter[tuple[str, str]]:
    """Return how many writes the operator made so far, by (verb, kind), Lease renewal aside."""
    text = Installation(context.kubectl).metrics()
    writes: Counter[tuple[str, str]] = Counter()
    for labels, value in METRIC.findall(text):
        found = dict(LABEL.findall(labels))
        if found["kind"] != "Lease":
            writes[found["verb"], found["kind"]] += int(float(value))
    return writes
