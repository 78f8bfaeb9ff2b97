"""The public clients: arguments, results and errors of their methods, without a network."""
