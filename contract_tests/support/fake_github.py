"""One repository on GitHub, as far as its REST API is used here, served on loopback."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = "owner/project"
TOKEN = "ghs_0123456789abcdefghij"


class RefusedError(Exception):
    """A request that GitHub refuses."""


class FakeGitHub:
    """Holds commits, a branch or two, pull requests, issues and comments."""

    def __init__(self) -> None:
        self.refs = {"refs/heads/main": "c0", "refs/heads/upstream-contract-of-another": "c0"}
        self.trees: dict[str, list[dict[str, Any]]] = {}
        self.commits: dict[str, dict[str, Any]] = {"c0": {"message": "Start", "tree": "t0", "parents": []}}
        self.items: dict[int, dict[str, Any]] = {}
        self.comments: list[tuple[int, str]] = []
        self.asked: list[tuple[str, str]] = []
        self.refuses: Callable[[str, str], bool] = lambda _method, _path: False

    def __enter__(self) -> Self:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                content = self.rfile.read(int(self.headers.get("content-length", 0)))
                parts = urlsplit(self.path)
                status, body = fake.answer(
                    self.command,
                    parts.path.removeprefix(f"/repos/{REPOSITORY}").lstrip("/"),
                    {name: values[0] for name, values in parse_qs(parts.query).items()},
                    json.loads(content) if content else {},
                    self.headers.get("authorization"),
                )
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = answer  # noqa: N815

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def writes(self) -> list[tuple[str, str]]:
        """Return the requests that change something."""
        return [(method, path) for method, path in self.asked if method != "GET"]

    def answer(
        self, method: str, path: str, query: dict[str, str], sent: dict[str, Any], authorization: str | None
    ) -> tuple[int, Any]:
        self.asked.append((method, path))
        if authorization != f"Bearer {TOKEN}":
            return 401, {"message": "Bad credentials"}
        if self.refuses(method, path):
            return 403, {"message": f"Resource not accessible by {TOKEN}"}
        try:
            return (201 if method == "POST" else 200), self._route(method, path.split("/"), query, sent)
        except RefusedError as error:
            return 422, {"message": str(error)}

    # One line a route: longer as several functions.
    def _route(  # noqa: C901, PLR0911, PLR0912
        self, method: str, path: list[str], query: dict[str, str], sent: dict[str, Any]
    ) -> Any:
        match method, path:
            case "GET", [""]:
                return {"default_branch": "main"}
            case "GET", ["git", "ref", "heads", name]:
                return {"object": {"sha": self.refs[f"refs/heads/{name}"]}}
            case "GET", ["git", "matching-refs", "heads", name]:
                return [{"ref": ref} for ref in self.refs if ref.startswith(f"refs/heads/{name}")]
            case "GET", ["git", "commits", sha]:
                return {"tree": {"sha": self.commits[sha]["tree"]}}
            case "POST", ["git", "trees"]:
                sha = f"t{len(self.trees) + 1}"
                self.trees[sha] = sent["tree"]
                return {"sha": sha}
            case "POST", ["git", "commits"]:
                sha = f"c{len(self.commits)}"
                self.commits[sha] = sent
                return {"sha": sha}
            case "POST", ["git", "refs"]:
                return self._create(sent)
            case "PATCH", ["git", "refs", "heads", name]:
                if not sent["force"] or f"refs/heads/{name}" not in self.refs:
                    raise RefusedError("Reference cannot be updated")
                self.refs[f"refs/heads/{name}"] = sent["sha"]
                return {}
            case "POST", ["issues", number, "comments"]:
                self.comments.append((int(number), sent["body"]))
                return {}
            case "GET", ["pulls", number, "commits"]:
                return self._commits_of(int(number))
            case "GET", ["pulls"]:
                return self._listed(lambda each: f"owner:{each.get('head')}" == query["head"])
            case "GET", ["issues"]:  # pull requests are issues too
                return self._listed(lambda each: query["labels"] in each["labels"])
            case "POST", ["pulls" | "issues"]:
                return self._opened(path == ["pulls"], sent)
            case "GET", ["issues", number]:
                return self.items[int(number)]
            case "PATCH", ["pulls" | "issues", number]:
                self.items[int(number)].update(sent)
                return self.items[int(number)]
        raise RefusedError(f"unknown: {method} {path}")

    def _create(self, sent: dict[str, Any]) -> Any:
        if sent["ref"] in self.refs:
            raise RefusedError("Reference already exists")
        self.refs[sent["ref"]] = sent["sha"]
        return {}

    def _commits_of(self, number: int) -> list[Any]:
        sha, found = self.refs[f"refs/heads/{self.items[number]['head']}"], []
        while sha != "c0":
            found.append({"commit": {"message": self.commits[sha]["message"]}})
            (sha,) = self.commits[sha]["parents"]
        return found

    def _listed(self, is_meant: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        return [each for _, each in sorted(self.items.items(), reverse=True) if is_meant(each)]

    def _opened(self, is_pull_request: bool, sent: dict[str, Any]) -> dict[str, Any]:  # noqa: FBT001
        if is_pull_request and any(
            each.get("head") == sent["head"] and each["state"] == "open" for each in self.items.values()
        ):
            raise RefusedError("A pull request already exists")
        item: dict[str, Any] = {"number": len(self.items) + 1, "state": "open", "labels": [], **sent}
        if is_pull_request:
            item |= {"merged_at": None, "pull_request": {}}
        self.items[item["number"]] = item
        return item
