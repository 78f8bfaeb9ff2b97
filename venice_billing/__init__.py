"""A typed client for the Venice.ai billing API: what your usage costs, every charge once, to the last digit.

Start with `VeniceBilling`, or with `AsyncVeniceBilling` for asyncio and trio.
"""

from venice_billing._version import __version__ as __version__

TYPE_CHECKING = False  # of the module typing, whose import takes as long as a third of a start of Python
if TYPE_CHECKING:  # type checkers see plain imports, so a misspelt name is an error
    from venice_billing import ledger as ledger
    from venice_billing import report as report
    from venice_billing import sku as sku
    from venice_billing import spend as spend
    from venice_billing.client import *  # noqa: F403 - each module's __all__ says what is public
    from venice_billing.csv_export import *  # noqa: F403
    from venice_billing.errors import *  # noqa: F403
    from venice_billing.models import *  # noqa: F403
    from venice_billing.walks import *  # noqa: F403
else:
    from importlib import import_module

    # A name is loaded on first use, from the first of these modules that has it: an error class needs no HTTP client.
    _HOMES = ("errors", "models", "csv_export", "walks", "client")
    _MODULES = ("ledger", "report", "sku", "spend")  # public under their own names: `venice_billing.spend.summarize`

    def __getattr__(name: str) -> object:
        if name in _HOMES or name in _MODULES:
            return import_module(f"{__name__}.{name}")
        if name == "__all__":
            return __dir__()
        if not name.startswith("_"):
            for home in _HOMES:
                module = import_module(f"{__name__}.{home}")
                if name in module.__all__:
                    value = globals()[name] = getattr(module, name)
                    return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        modules = [import_module(f"{__name__}.{home}") for home in _HOMES]
        return sorted(["__version__", *(name for module in modules for name in module.__all__)])
