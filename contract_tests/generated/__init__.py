"""Tests of the generated package on its own."""
