"""Watch the published document and the live API; open, renew or close one pull request and one issue of each kind.

python scripts/watch.py --upstream PATH_OR_URL --dry-run   print what would be published
python scripts/watch.py --upstream PATH_OR_URL --save FILE  observe, without a token
python scripts/watch.py --saved FILE                        publish what was observed
python scripts/watch.py --live drift.json                   publish what scripts/live.py found

Publishing needs GITHUB_TOKEN and GITHUB_REPOSITORY. With --dry-run they are optional: without them, nothing is taken
to be open. The code that is generated from a published document runs while it is observed; the scheduled workflow
therefore observes in a job without a token that writes, and publishes in another.

Exit code: 0, whatever was found; 2 when the document cannot be read, or GitHub refuses.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from attrs import asdict, evolve, frozen

from contract.document import UnreadableDocumentError
from venice_billing._secret import Secret
from watching.decision import Kind, Leave, Observation, Open, Renew, decide_live, decide_upstream
from watching.github import GitHub, PublishingError, client
from watching.live_report import read_live_report
from watching.texts import Origin, live_notice, pull_request_notice, upstream_issue_notice
from watching.upstream import TOKENS, observe, shown_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from watching.decision import Action, Existing, Notice


@frozen
class Saved:
    """An observation on its way from the job that makes it to the job that publishes it."""

    source: str
    observation: Observation


def main(arguments: Sequence[str] | None = None) -> int:
    """Watch, and return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.save is not None and options.upstream is None:
        parser.error("--save keeps what is observed of --upstream, and of nothing else")
    try:
        with ExitStack() as stack:
            github = _github(stack, is_needed=not (options.dry_run or options.save))
            if options.save is not None:
                options.save.write_text(json.dumps(asdict(_saved(options))), encoding="utf-8")
                return 0
            actions, files = _decided(options, github)
            for action in map(_masked, actions):
                print(described(action, files) if options.dry_run or github is None else github.perform(action, files))
    except (UnreadableDocumentError, PublishingError, OSError, msgspec.MsgspecError) as error:
        print(f"watch: {_without_secrets(' '.join(str(error).split()))}", file=sys.stderr)
        return 2
    return 0


def described(action: Action, files: Mapping[str, str | None]) -> str:
    """Return what would be done, with the whole text of it."""
    match action:
        case Leave():
            return f"{action.kind}: nothing to do: {action.reason}"
        case Open() | Renew():
            verb = "would open" if isinstance(action, Open) else f"would renew #{action.number} as"
            changed = [f"file: {path}{' (goes)' if text is None else ''}" for path, text in files.items()]
            listed = changed if action.kind is Kind.PULL_REQUEST else []
            return "\n".join([f"{action.kind}: {verb}: {action.notice.title}", "", action.notice.body, "", *listed])
        case _:
            return f"{action.kind}: would close #{action.number}: {action.reason}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="watch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    watched = parser.add_mutually_exclusive_group(required=True)
    watched.add_argument("--upstream", metavar="PATH_OR_URL", help="the published document")
    watched.add_argument("--saved", metavar="FILE", type=Path, help="what --save has written")
    watched.add_argument("--live", metavar="FILE", type=Path, help="what scripts/live.py has written")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--dry-run", action="store_true", help="print what would be published")
    instead.add_argument("--save", metavar="FILE", type=Path, help="write the observation to FILE, publish nothing")
    return parser


def _saved(options: argparse.Namespace) -> Saved:
    if options.saved is not None:
        return msgspec.json.decode(options.saved.read_bytes(), type=Saved)
    return Saved(shown_source(options.upstream), observe(options.upstream))


def _decided(options: argparse.Namespace, github: GitHub | None) -> tuple[Sequence[Action], Mapping[str, str | None]]:
    """Return what to do, and the files for it."""
    if options.live is not None:
        return [_live(options.live, github)], {}
    saved = _saved(options)
    observation, origin = saved.observation, Origin(saved.source, _run_url())
    pull_request = pull_request_notice(observation, origin), _existing(github, Kind.PULL_REQUEST)
    issue = upstream_issue_notice(observation, origin), _existing(github, Kind.UPSTREAM_ISSUE)
    return decide_upstream(observation, pull_request, issue), observation.files


def _live(path: Path, github: GitHub | None) -> Action:
    report = read_live_report(path)
    notice = live_notice(report, Origin(path.name, _run_url()))
    return decide_live(report, notice, _existing(github, Kind.LIVE_ISSUE))


def _existing(github: GitHub | None, kind: Kind) -> Existing | None:
    return None if github is None else github.existing(kind)


def _github(stack: ExitStack, *, is_needed: bool) -> GitHub | None:
    """Return the repository that the environment names; None if it names none, and none is needed."""
    token, repository = os.environ.get("GITHUB_TOKEN"), os.environ.get("GITHUB_REPOSITORY")
    if token and repository:
        api = os.environ.get("GITHUB_API_URL") or "https://api.github.com"
        return GitHub(stack.enter_context(client(api, token)), repository)
    if is_needed:
        raise PublishingError(
            "GITHUB_TOKEN and GITHUB_REPOSITORY are not both set: publish with them, or use --dry-run"
        )
    return None


def _run_url() -> str:
    """Return the address of this run of the workflow; nothing outside of one."""
    server, repository, run = (os.environ.get(f"GITHUB_{name}") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
    return f"{server}/{repository}/actions/runs/{run}" if server and repository and run else ""


def _masked(action: Action) -> Action:
    """Return an action with every secret of this environment masked in what it publishes."""
    if isinstance(action, Open | Renew):
        return evolve(action, notice=_masked_notice(action.notice))
    return action


def _masked_notice(notice: Notice) -> Notice:
    return evolve(notice, title=_without_secrets(notice.title), body=_without_secrets(notice.body))


def _without_secrets(text: str) -> str:
    for value in filter(None, map(os.environ.get, TOKENS)):
        text = Secret(value).masked(text)
    return text


if __name__ == "__main__":
    sys.exit(main())
