"""The version of this package, written down only here."""

__version__ = "0.1.0"
