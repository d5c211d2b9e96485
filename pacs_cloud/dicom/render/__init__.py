"""Pictures of images: shades and colours, presentation states, overlays, graphics (PS3.3 C.11)."""
