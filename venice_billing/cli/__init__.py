"""The command `venice-billing`: what the library does, for people who have a terminal. It has no logic of its own."""
