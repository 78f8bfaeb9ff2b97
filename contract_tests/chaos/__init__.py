"""Bad nights, drawn from seeds: walks and exports under faults, each compared with the ledger row for row.

Run many, or one again: `PYTHONPATH=contract_tests .venv/bin/python -m chaos --help`.
"""
