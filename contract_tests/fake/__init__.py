"""Tests of `FakeVenice`, on which the other tests rely."""
