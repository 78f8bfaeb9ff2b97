"""The interface of the old SDK on this client."""
