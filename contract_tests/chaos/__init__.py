"""Random scenarios with faults: walks and exports whose result is compared with the ledger row by row.

To run many scenarios or repeat one: `.venv/bin/python -m contract_tests.chaos --help`.
"""
