"""Projects that studies are de-identified for, and what was replaced where that is kept."""
