"""Generated histories, an independent oracle of the identity rules, and their properties."""
