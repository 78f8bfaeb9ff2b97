"""Walks: from a page of the ledger to the next request, every row once, in order. Pure, but for the workers."""
