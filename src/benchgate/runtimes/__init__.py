"""What executes models. Each module registers its runtimes at import and imports its packages only when used."""
