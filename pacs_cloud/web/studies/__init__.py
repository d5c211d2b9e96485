"""The study list, and one study with its series and what can be done with it."""
