"""The pages that people see: rendered here, with plain style sheets, from this origin only."""
