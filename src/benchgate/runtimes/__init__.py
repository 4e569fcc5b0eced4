"""Runtimes execute models. Each module registers its runtimes at import and imports its packages when used."""
