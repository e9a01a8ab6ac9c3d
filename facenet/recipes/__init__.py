"""Published recipes: one TOML file of numbers each, and what reads them."""
