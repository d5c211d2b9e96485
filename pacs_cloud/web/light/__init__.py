"""The light viewer, for phones, tablets and thin lines: frames and volumes rendered here."""
