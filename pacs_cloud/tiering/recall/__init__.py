"""Cold packs brought back for readers: asked for once, looked after until they have come."""
