"""Tasks: the purposes of models. Each module registers one task at import."""
