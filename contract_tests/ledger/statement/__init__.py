"""Tests of statements: what they say, their digest, which months can be closed, later changes, recording."""
