"""Regenerate the contract and the client: `openapi/venice-billing.yaml` -> `generated/`.

With `--upstream` the contract itself is made anew from a full upstream document.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from contract.document import Document, UnreadableDocumentError
from pipeline.canonical import canonical, dump
from pipeline.cut import cut_billing, strip_prose
from pipeline.digests import changed_overlays, edits, sealed
from pipeline.documents import load_document, named, parse_document, read_source
from pipeline.generator import PACKAGE, GenerationError, generate_package
from pipeline.hoist import hoist_schemas
from pipeline.offer import given_by_models, load_offer
from pipeline.overlay import Outcome, actions_of, apply_overlay, read_overlay

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROOT = Path(__file__).resolve().parent.parent
_OPENAPI = _ROOT / "openapi"
_CONTRACT = Path("openapi/venice-billing.yaml")
_PACKAGE = Path("generated") / PACKAGE
_OVERLAYS = ("corrections.yaml", "descriptions.yaml")
_HEAD = """\
The contract of Venice.ai's billing API, as this project promises to speak it.
Made by `scripts/regenerate.py --upstream` from Venice's published document, corrections.yaml and
descriptions.yaml; change those, not this file.
Upstream version: {version}
Upstream sha256:  {digest}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: 0, 1 (what is here does not fit together) or 2 (not possible)."""
    options = _parser().parse_args(arguments)
    try:
        _refuse_output(options.output)
        if options.upstream is None and (reasons := _reasons_against_the_contract()):
            print("\n".join(reasons), file=sys.stdout if options.check else sys.stderr)
            return 1
        with tempfile.TemporaryDirectory() as scratch:
            made = _make(options.upstream, options.output, Path(scratch))
            if options.check:
                return _report_differences(made, options.output)
            _report_additions(_parsed(made.text))
            _put_in_place(made, options.output)
    except (UnreadableDocumentError, GenerationError, _OutputError, OSError) as error:
        print(f"regenerate: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def contract_from(upstream: bytes, source: str) -> tuple[str, list[Outcome]]:
    """Return the text of the contract made of a full upstream document, and what became of the corrections."""
    document = hoist_schemas(strip_prose(cut_billing(parse_document(upstream, source))))
    overlays = _overlays()
    corrections, descriptions = (actions_of(overlay, name) for name, overlay in overlays.items())
    corrected, outcomes = apply_overlay(document, corrections)
    described, _ = apply_overlay(corrected, descriptions)
    head = _HEAD.format(version=document["info"]["version"], digest=hashlib.sha256(upstream).hexdigest())
    return sealed(head, dump(canonical(described)), overlays), outcomes


class _OutputError(ValueError):
    """The folder for the output cannot be used."""


@frozen
class _Made:
    """What a run has made: the contract (whether or not it is to be written) and the folder of the package."""

    text: bytes
    is_new: bool
    package: Path

    @property
    def contract(self) -> str | None:
        """Return the text of the contract, None if it is to stay as it is."""
        return self.text.decode() if self.is_new else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--upstream", metavar="PATH_OR_URL", type=_source, help="make the contract from a full upstream document"
    )
    parser.add_argument("--output", metavar="DIR", type=Path, default=_ROOT, help="write below DIR, not here")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if anything would change")
    return parser


def _source(argument: str) -> str:
    """Return a source that is named at all; an empty variable of a shell is none."""
    if not argument:
        raise argparse.ArgumentTypeError("is empty; give a path, or an http(s) URL")
    return argument


def _refuse_output(output: Path) -> None:
    """Check that a folder may hold a contract and a package.

    Raises:
        _OutputError: It is a file, or a part of what this program writes and replaces.
    """
    if any(place.exists() and not place.is_dir() for place in (output, *output.parents)):
        raise _OutputError(f"--output {output}: not a folder")
    if (_ROOT / "generated") in (place := output.resolve(), *place.parents):
        raise _OutputError(f"--output {output}: lies in {_ROOT / 'generated'}, which holds nothing but the package")


def _make(upstream: str | None, output: Path, scratch: Path) -> _Made:
    if upstream is None:
        contract = (_ROOT / _CONTRACT).read_bytes()
    else:
        text, outcomes = contract_from(read_source(upstream), named(upstream))
        contract = text.encode()
        _report_corrections(outcomes)
    package = scratch / PACKAGE
    for warning in generate_package(_parsed(contract), _OPENAPI, package):
        print(f"warning: {warning}", file=sys.stderr)
    return _Made(contract, upstream is not None or output != _ROOT, package)


def _parsed(contract: bytes) -> Document:
    return parse_document(contract, str(_CONTRACT))


def _overlays() -> dict[str, Document]:
    return {name: read_overlay(_OPENAPI / name) for name in _OVERLAYS}


def _reasons_against_the_contract() -> list[str]:
    """Return why the contract here is not what upstream and the overlays gave: what was changed since, line by line."""
    contract = read_source(_ROOT / _CONTRACT)
    reasons = _hand_edits(contract)
    if reasons:
        reasons.append(f"undo that: what {_CONTRACT} says is changed in corrections.yaml and descriptions.yaml")
    changed = changed_overlays(contract.decode(errors="replace"), _overlays())
    return reasons + [f"{name} changed since the contract was made: run with --upstream URL" for name in changed]


def _hand_edits(contract: bytes) -> list[str]:
    return [f"edited by hand: {_CONTRACT}:{edit}" for edit in edits(contract.decode(errors="replace"))]


def _report_corrections(outcomes: list[Outcome]) -> None:
    """Print what became of corrections otherwise than is recorded beside them."""
    deviating = [outcome for outcome in outcomes if outcome.deviation]
    if deviating:
        print(f"corrections that turned out otherwise than recorded: {len(deviating)}", file=sys.stderr)
    for outcome in deviating:
        action = outcome.action
        print(f"  {action.target}: {outcome.deviation}. The correction: {action.description}", file=sys.stderr)
    if deviating:
        print("  drop what upstream has overtaken, or record it: x-expected in corrections.yaml", file=sys.stderr)


def _report_additions(new: Document) -> None:
    """Print what the contract has beyond the facade, and what is new in it and comes with the package."""
    offer = load_offer(_OPENAPI / "facade.yaml")
    missing, given = offer.missing(new), given_by_models(_contract_here(new), new, offer)
    if not missing and not given:
        return
    print(f"not offered by the facade yet: {len(missing) or 'nothing'}")
    print("".join(f"  {addition}\n" for addition in missing), end="")
    if missing:
        print("  once one is offered, list it in openapi/facade.yaml")
    if given:
        print(f"new, and given by the regenerated package already: {len(given)}")
        print("".join(f"  {addition}\n" for addition in given), end="")


def _contract_here(new: Document) -> Document:
    """Return the contract that is here before this run; the new one where none is that can be read."""
    try:
        return load_document(_ROOT / _CONTRACT)
    except UnreadableDocumentError:
        return new


def _report_differences(made: _Made, output: Path) -> int:
    """Print what would change; return 1 if anything would."""
    differences = _package_differences(made.package, output / _PACKAGE)
    present = _bytes_of(output / _CONTRACT) or b""
    if made.contract is not None and present != made.contract.encode():
        differences.append(str(_CONTRACT))
    for difference in sorted(differences):
        print(f"differs: {difference}")
    if str(_CONTRACT) in differences:
        print("".join(f"{line}\n" for line in _hand_edits(present) if "yaml:?" not in line), end="")
    return 1 if differences else 0


def _package_differences(new: Path, old: Path) -> list[str]:
    """Return the files that differ, are missing, or are orphans anywhere in the folder of generated code."""
    wanted = {Path(PACKAGE) / name: content for name, content in _files(new).items()}
    present = _files(old.parent)
    return [
        str(Path("generated") / name)
        for name in wanted.keys() | present.keys()
        if wanted.get(name) != present.get(name)
    ]


def _files(folder: Path) -> dict[Path, bytes]:
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def _bytes_of(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _put_in_place(made: _Made, output: Path) -> None:
    """Make everything ready beside its place, then swap: whoever looks, and whatever fails, sees old or new."""
    package, contract = output / _PACKAGE, output / _CONTRACT
    package.parent.mkdir(parents=True, exist_ok=True)
    contract.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=package.parent, prefix=".new-") as folder:
        beside = Path(folder)
        shutil.copytree(made.package, beside / "new")
        if made.contract is not None:
            (beside / "contract").write_text(made.contract, encoding="utf-8")
        _swap(beside / "new", package, beside / "old")
        if made.contract is not None:
            (beside / "contract").replace(contract)


def _swap(new: Path, place: Path, aside: Path) -> None:
    if place.exists():
        place.rename(aside)
    try:
        new.rename(place)
    except OSError:
        if aside.exists():
            aside.rename(place)
        raise


if __name__ == "__main__":
    sys.exit(main())
