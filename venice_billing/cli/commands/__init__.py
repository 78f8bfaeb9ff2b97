"""The commands, one module each, which has `configure(parser)` and `run(session)`, which returns the exit code."""
