"""What models are for. Each module registers one task at import."""
