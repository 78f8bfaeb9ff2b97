"""The local ledger: syncs, exact sums, its file, and other tools on it."""
