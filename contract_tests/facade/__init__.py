"""The public clients: names, arguments, results and errors of their methods, without a network."""
