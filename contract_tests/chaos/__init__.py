"""Scenarios with faults, drawn from seeds: walks and exports, each compared with the ledger row for row.

Run many, or one again: `.venv/bin/python -m contract_tests.chaos --help`.
"""
