"""Tests of the command `venice-billing`."""
