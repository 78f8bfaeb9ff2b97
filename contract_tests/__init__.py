"""Every test, in folders by subject; `support` is what they share."""
