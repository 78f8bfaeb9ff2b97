"""From the published document to the contract, and from the contract to the generated package."""
