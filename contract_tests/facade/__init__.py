"""The public clients and what their methods take, give and raise, without any network."""
