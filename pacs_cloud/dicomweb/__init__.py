"""DICOMweb: STOW-RS in, QIDO-RS and WADO-RS out (PS3.18)."""
