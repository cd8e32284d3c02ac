"""Print what the codecs make of the recorded traffic: decoded and written again, and translated to each other format.

    python tools/traffic_report.py

The recordings stand beside the repository, in ../shared/traffic; where they are not, there is nothing to report. The
figures are those that the tests in tests/translation assert.
"""

from __future__ import annotations

import sys
from pathlib import Path

# The measuring is written once, with the tests.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main() -> int:
    """Print the figures; 1 when something is lost without a record or a reason."""
    from tests.translation import gate, pairs
    from tests.translation.recordings import TRAFFIC, chats, exchanges

    if not exchanges():
        print(f"no recorded traffic at {TRAFFIC.resolve()}: nothing to report")
        return 0
    same = gate.measure(exchanges())
    print("Every body, decoded and written again in its own format\n")
    print(same.table())
    other = pairs.measure(chats())
    print("\nEvery successful chat exchange, in each other format and back\n")
    print(other.table())
    new = [key for key in same.odd if key not in gate.EXCEPTIONS]
    for text in [*(f"not reproduced: {key}" for key in new), *(f"unexplained: {text}" for text in other.unexplained)]:
        print(text)
    return 1 if new or other.unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
