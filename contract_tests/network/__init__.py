"""Connections, deadlines, bodies, forks and threads, on loopback."""
