"""Walks through the ledger: order, borders, checkpoints, windows, workers."""
