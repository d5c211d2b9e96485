"""What an archive costs: prices, counted use, bills, simulated hospitals to compare policies."""
