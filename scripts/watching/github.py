"""What is open on GitHub, and the changes to it: a thin layer over the REST API, which needs neither git nor gh.

https://docs.github.com/en/rest
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
from attrs import frozen

from watching.decision import Close, Existing, Kind, Leave, Open, Renew
from watching.texts import fingerprint_in, without_fingerprint
from watching.upstream import CONTRACT, PACKAGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from watching.decision import Action

BRANCH = "upstream-contract"
LABELS = {Kind.UPSTREAM_ISSUE: "upstream-contract", Kind.LIVE_ISSUE: "live-api"}
COMMIT = "Regenerate the contract and the client from the published document"
_RENEWED = "The findings have changed: the description above tells the present ones."
_KEPT = (
    f"The branch `{BRANCH}` holds commits of others, so it was left as it is. "
    "`nox -s regenerate -- --upstream URL` takes over the present document."
)


class PublishingError(Exception):
    """GitHub refused a request, or could not be reached."""


@frozen
class GitHub:
    """A repository on GitHub."""

    http: httpx.Client
    repository: str

    def existing(self, kind: Kind) -> Existing | None:
        """Return the open pull request or issue of a kind, or else the latest closed one."""
        found = self._pull_requests() if kind is Kind.PULL_REQUEST else self._issues(kind)
        return next((each for each in found if each.state == "open"), found[0] if found else None)

    def perform(self, action: Action, files: Mapping[str, str | None]) -> str:
        """Do what was decided; return a line that says so."""
        match action:
            case Leave():
                return f"{action.kind}: nothing to do: {action.reason}"
            case Open():
                return f"{action.kind}: opened #{self._open(action, files)}"
            case Renew():
                self._renew(action, files)
                return f"{action.kind}: renewed #{action.number}"
            case Close():
                self._close(action)
                return f"{action.kind}: closed #{action.number}: {action.reason}"

    # ---------------------------------------------------------------- what is there

    def _pull_requests(self) -> list[Existing]:
        owner = self.repository.partition("/")[0]
        listed = self._ask("GET", "pulls", params={**_LATEST, "head": f"{owner}:{BRANCH}"})
        return [
            Existing(
                number=each["number"],
                fingerprint=fingerprint_in(each["body"]),
                state=_state(each, declined=each["merged_at"] is None),
                holds_other_commits=each["state"] == "open" and self._has_other_commits(each["number"]),
            )
            for each in listed
        ]

    def _has_other_commits(self, number: int) -> bool:
        commits = self._ask("GET", f"pulls/{number}/commits", params={"per_page": 2})
        return [each["commit"]["message"] for each in commits] != [COMMIT]

    def _issues(self, kind: Kind) -> list[Existing]:
        listed = self._ask("GET", "issues", params={**_LATEST, "labels": LABELS[kind]})
        return [
            Existing(
                number=each["number"],
                fingerprint=fingerprint_in(each["body"]),
                state=_state(each, declined=each.get("state_reason") == "not_planned"),
            )
            for each in listed
            if "pull_request" not in each and fingerprint_in(each["body"])  # people may use the label too
        ]

    # ---------------------------------------------------------------- what changes

    def _open(self, action: Open, files: Mapping[str, str | None]) -> int:
        text = {"title": action.notice.title, "body": action.notice.body}
        if action.kind is Kind.PULL_REQUEST:
            base = self._default_branch()
            self._push(base, files)
            opened = self._ask("POST", "pulls", json={**text, "head": BRANCH, "base": base})
        else:
            opened = self._ask("POST", "issues", json={**text, "labels": [LABELS[action.kind]]})
        return int(opened["number"])

    def _renew(self, action: Renew, files: Mapping[str, str | None]) -> None:
        if action.kind is Kind.PULL_REQUEST and not action.keeps_branch:
            self._push(self._default_branch(), files)
        self._edit(action.kind, action.number, title=action.notice.title, body=action.notice.body)
        self._comment(action.number, f"{_RENEWED} {_KEPT}" if action.keeps_branch else _RENEWED)

    def _close(self, action: Close) -> None:
        self._comment(action.number, f"Closed, since {action.reason}.")
        body = self._ask("GET", f"issues/{action.number}")["body"]
        self._edit(action.kind, action.number, state="closed", body=without_fingerprint(body))

    def _edit(self, kind: Kind, number: int, **changes: str) -> None:
        place = "pulls" if kind is Kind.PULL_REQUEST else "issues"
        self._ask("PATCH", f"{place}/{number}", json=changes)

    def _comment(self, number: int, text: str) -> None:
        self._ask("POST", f"issues/{number}/comments", json={"body": text})

    def _default_branch(self) -> str:
        return str(self._ask("GET", "")["default_branch"])

    def _push(self, base: str, files: Mapping[str, str | None]) -> None:
        """Make the branch one commit on the default branch, whatever it held."""
        parent = self._ask("GET", f"git/ref/heads/{base}")["object"]["sha"]
        below = self._ask("GET", f"git/commits/{parent}")["tree"]["sha"]
        tree = self._ask("POST", "git/trees", json={"base_tree": below, "tree": tree_of(files)})["sha"]
        commit = self._ask("POST", "git/commits", json={"message": COMMIT, "tree": tree, "parents": [parent]})["sha"]
        if self._has_branch():
            self._ask("PATCH", f"git/refs/heads/{BRANCH}", json={"sha": commit, "force": True})
        else:
            self._ask("POST", "git/refs", json={"ref": f"refs/heads/{BRANCH}", "sha": commit})

    def _has_branch(self) -> bool:
        matching = self._ask("GET", f"git/matching-refs/heads/{BRANCH}")
        return any(each["ref"] == f"refs/heads/{BRANCH}" for each in matching)

    def _ask(self, method: str, path: str, **content: Any) -> Any:
        url = f"repos/{self.repository}/{path}".rstrip("/")
        try:
            response = self.http.request(method, url, **content)
        except httpx.HTTPError as error:
            raise PublishingError(f"{method} {url}: {type(error).__name__}") from error
        if not response.is_success:
            raise PublishingError(f"{method} {url}: HTTP {response.status_code}: {_explanation(response)}")
        return response.json()


def client(api: str, token: str) -> httpx.Client:
    """Return an HTTP client that speaks to GitHub's API."""
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    return httpx.Client(base_url=api, headers=headers, timeout=30.0)


def tree_of(files: Mapping[str, str | None]) -> Sequence[dict[str, Any]]:
    """Return the entries of a git tree that change files below the contract and the generated package, and no others.

    Raises:
        PublishingError: A file lies elsewhere.
    """
    for path in files:
        is_generated = path.startswith(f"{PACKAGE.as_posix()}/") and not {"..", ".", ""} & set(path.split("/"))
        if not is_generated and path != CONTRACT.as_posix():
            raise PublishingError(f"no generated file: {path!r}; only {CONTRACT} and files below {PACKAGE} are pushed")
    return [
        {"path": path, "mode": "100644", "type": "blob", **({"sha": None} if text is None else {"content": text})}
        for path, text in files.items()
    ]


_LATEST = {"state": "all", "sort": "created", "direction": "desc", "per_page": "100"}


def _state(each: dict[str, Any], *, declined: bool) -> Literal["open", "closed", "declined"]:
    if each["state"] == "open":
        return "open"
    return "declined" if declined else "closed"


def _explanation(response: httpx.Response) -> str:
    try:
        message = response.json()["message"]
    except (ValueError, LookupError, TypeError):
        return "no explanation"
    return " ".join(str(message).split())[:200]
