"""Rejection notes (IHE RAD IOCM): what they name is hidden while one in force names it."""
