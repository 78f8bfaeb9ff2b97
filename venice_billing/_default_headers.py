"""Headers of the user's own for every request, checked at once, so that no request fails because of one. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from venice_billing._arguments import HIDDEN
from venice_billing.errors import InvalidParameterError

if TYPE_CHECKING:
    from venice_billing._secret import Secret

USER_AGENT = "user-agent"
_OURS = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Set by this client or by httpx."""
_PARTIAL = frozenset({"if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range"})
"""Ask for a part of an answer, or for none: charges would be missing."""
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"(?:[!-~](?:[ -~\t]*[!-~])?)?")
_TEXT = "printable ASCII text without space at its ends"


def merged(headers: Mapping[str, str], more: object, secret: Secret) -> Mapping[str, str]:
    """Return headers, their names in lower case, with more headers, which replace those of the same names.

    Errors name a header, and never show its value, which may be a password for a proxy.

    Raises:
        InvalidParameterError: There is a header that cannot be sent, that this client sets itself, or that holds the
            API key.
    """
    if more is None:
        return headers
    if not isinstance(more, Mapping):
        raise InvalidParameterError("default_headers", type(more), "a mapping of names to texts")
    checked: dict[str, str] = {}
    for given, value in more.items():
        name = _checked_name(given, secret)
        if name in checked:
            raise InvalidParameterError("default_headers", name, "a mapping that names each header once, in any case")
        checked[name] = _checked_value(name, value, secret)
    return {**headers, **checked}


def _checked_name(name: object, secret: Secret) -> str:
    if isinstance(name, str) and secret.masked(name) != name:
        raise InvalidParameterError("a name in default_headers", HIDDEN, "without the API key in it")
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise InvalidParameterError("a name in default_headers", name, "a header name: letters, digits and hyphens")
    lower = name.lower()
    if lower in _OURS:
        raise InvalidParameterError("default_headers", str(name), f"without {lower}, which this client sets itself")
    if lower in _PARTIAL:
        raise InvalidParameterError("default_headers", str(name), f"without {lower}: a part of an answer is no answer")
    return lower


def _checked_value(name: str, value: object, secret: Secret) -> str:
    where = f"default_headers[{name!r}]"
    if not isinstance(value, str):
        raise InvalidParameterError(where, type(value), _TEXT)
    text = str.__str__(value)
    if secret.masked(text) != text:
        raise InvalidParameterError(where, HIDDEN, "without the API key in it")
    if _VALUE.fullmatch(text) is None or (name == USER_AGENT and not text):
        raise InvalidParameterError(where, HIDDEN, _TEXT)
    return text
