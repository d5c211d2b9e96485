"""An archive elsewhere, asked over DICOMweb."""
