"""What generated code stands on: JSON to values, deadlines on the network, errors. It imports no other room."""
