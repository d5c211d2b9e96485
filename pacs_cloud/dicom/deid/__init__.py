"""What identifies a patient, taken out of instances (PS3.15 Annex E)."""
