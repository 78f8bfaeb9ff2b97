"""Watch what the contract depends on, and turn what has changed into pull requests and issues."""
