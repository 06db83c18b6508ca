"""Generated from proto/ by scripts/proto; only codec, transport and api import it."""
