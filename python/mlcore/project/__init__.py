"""Projects: mlcore.toml, its steps, and what `mlcore run` does with them."""
