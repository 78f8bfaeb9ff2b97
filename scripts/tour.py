"""Run every Python block of a README, as written and in order, against FakeVenice. Usage: tour.py README.md.

It needs nothing but the installed package, so that the wheel can be toured where there is no source tree.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

from venice_billing.testing import FakeVenice

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def main(arguments: list[str]) -> int:
    """Run the blocks of the file named on the command line."""
    if len(arguments) != 1:
        print("usage: tour.py README.md", file=sys.stderr)
        return 2
    readme = Path(arguments[0]).resolve()
    count = tour(readme)
    print(f"{count} blocks of {readme.name} ran as written")
    return 0 if count else 1


def tour(readme: Path) -> int:
    """Run the blocks in one namespace and in an empty folder, and return how many there were."""
    text = readme.read_text("utf-8")
    fake = FakeVenice(2500)
    before, folder = dict(os.environ), Path.cwd()
    with fake.serve() as server, tempfile.TemporaryDirectory() as empty:
        os.environ.update(VENICE_API_KEY=fake.admin_key, VENICE_BASE_URL=server.base_url)
        os.chdir(empty)
        try:
            return _run_blocks(text, readme.name)
        finally:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(before)


def _run_blocks(text: str, name: str) -> int:
    namespace: dict[str, object] = {"__name__": "__main__"}
    blocks = list(_BLOCK.finditer(text))
    for block in blocks:
        line = text.count("\n", 0, block.start(1))
        code = compile("\n" * line + block[1], name, "exec")  # a traceback then names the line of the README
        exec(code, namespace)  # noqa: S102 - our own README is what is to be run
    return len(blocks)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
