"""Tests of FOCUS files: rules and columns, amounts, what each kind of charge becomes, files, the validator."""
