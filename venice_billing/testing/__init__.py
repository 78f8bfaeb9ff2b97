"""An in-memory Venice for tests: `FakeVenice`, its quirks and faults, and its clock."""

from venice_billing.testing import faults
from venice_billing.testing._clock import VirtualClock
from venice_billing.testing._fake import FakeVenice, demo_account
from venice_billing.testing._quirks import CsvLayout, CursorPlace, Quirks, SeenRequest
from venice_billing.testing._server import FakeServer
from venice_billing.testing.faults import Fault

__all__ = [
    "CsvLayout",
    "CursorPlace",
    "FakeServer",
    "FakeVenice",
    "Fault",
    "Quirks",
    "SeenRequest",
    "VirtualClock",
    "demo_account",
    "faults",
]
