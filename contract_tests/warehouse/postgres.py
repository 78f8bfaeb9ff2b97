"""A PostgreSQL server for one test: a new cluster in a folder, on loopback, with a password, stopped at the end."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEBIAN = Path("/usr/lib/postgresql")
_SECONDS = 120
_USERS = ("postgres", "nobody")  # PostgreSQL refuses to run as root


def missing() -> str | None:
    """Return why there can be no server here; None if there can."""
    if _programs() is None:
        return "no initdb and pg_ctl: Debian's package postgresql has them"
    return None


@contextmanager
def running() -> Iterator[str]:
    """Run a server, and yield the address of an empty database."""
    programs = _programs()
    assert programs is not None
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        folder, password = Path(name), secrets.token_hex(16)
        (folder / "password").write_text(password)
        user = _give_away(folder)
        data, port = folder / "data", _free_port()

        def run(program: str, *arguments: str) -> None:
            command = [str(programs / program), "--pgdata", str(data), *arguments]
            subprocess.run(command, cwd=folder, check=True, timeout=_SECONDS, stdout=subprocess.DEVNULL, **user)

        run("initdb", "--username=venice", f"--pwfile={folder / 'password'}", "--auth=scram-sha-256", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        run("pg_ctl", "start", "--wait", f"--log={folder / 'log'}", "--options", options)
        try:
            yield f"postgresql://venice:{password}@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "stop", "--wait", "--mode=fast")


def _programs() -> Path | None:
    """Return the folder of the newest PostgreSQL here."""
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]), reverse=True)
    found = versions[0] if versions else shutil.which("initdb")
    return Path(found).parent if found else None


def _give_away(folder: Path) -> dict[str, Any]:
    """Give a folder to an unprivileged user if this is root, and return how to run programs as that user."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam(next(name for name in _USERS if name in names))
    for path in (folder, *folder.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
