"""Walks: from each page of the ledger to the next request; every row once, in order. Pure, except `workers`."""
