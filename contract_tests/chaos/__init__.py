"""Bad nights, drawn from seeds: walks and exports under faults, each compared with the ledger row for row.

Run many, or one again: `.venv/bin/python -m contract_tests.chaos --help`.
"""
