"""The errors that generated code raises, besides httpx's own."""

from __future__ import annotations

_LONGEST_EXCERPT = 200


class UnexpectedStatus(Exception):  # noqa: N818 - the name that users of generated clients know
    """The status is undocumented, and the client was told to raise on undocumented statuses."""

    def __init__(self, status_code: int, content: bytes) -> None:
        super().__init__(status_code, content)
        self.status_code = status_code
        self.content = content

    def __str__(self) -> str:
        excerpt = self.content[:_LONGEST_EXCERPT].decode(errors="replace")
        return f"unexpected status code {self.status_code}: {excerpt}"


class DecodeError(ValueError):
    """A body that breaks the contract.

    Attributes:
        location: Where the problem is, like `data[3].amount`; empty for the body as a whole.
        problem: What is wrong there, as a bounded text.
    """

    def __init__(self, location: str, problem: str) -> None:
        super().__init__(location, problem)
        self.location = location
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.location or 'the body'}: {self.problem}"

    def within(self, parent: str) -> DecodeError:
        """Return the same error as seen from one level up."""
        joint = "." if parent and self.location and not self.location.startswith("[") else ""
        return DecodeError(f"{parent}{joint}{self.location}", self.problem)


__all__ = ["DecodeError", "UnexpectedStatus"]
