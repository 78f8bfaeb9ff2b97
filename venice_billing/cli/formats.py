"""The formats of what a command says, by name: a module of its own, since every start needs them."""

from __future__ import annotations

FORMATS = ("table", "json", "jsonl", "csv", "md")
