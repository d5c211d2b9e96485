"""Which tier each pack belongs in, what that costs, and how it gets there."""
