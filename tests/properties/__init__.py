"""Generated histories, an independent oracle of the identity rules, and the properties they prove."""
