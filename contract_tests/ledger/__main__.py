"""Kill fifty processes that sync a ledger: `python -m contract_tests.ledger [KILLS] [SEED]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from contract_tests.ledger.crash import kill_and_finish


def main(arguments: list[str]) -> int:
    """Print the counts; 1 if a ledger differs."""
    kills, seed = [*map(int, arguments), *(50, 1)[len(arguments) :]]
    with tempfile.TemporaryDirectory() as folder:
        killed = kill_and_finish(Path(folder), kills, seed=seed)
    print(killed)  # noqa: T201 - its output
    return int(killed.different > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
