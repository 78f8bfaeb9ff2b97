"""Other programs' interfaces to the billing API, on this client: `venice_ai` is that of the SDK `venice_ai`."""
