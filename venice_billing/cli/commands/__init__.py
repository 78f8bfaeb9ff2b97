"""The commands, one module a group: each has `configure(parser)` and `run(session)`, which returns the exit code."""
