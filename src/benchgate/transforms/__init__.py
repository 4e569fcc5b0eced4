"""Steps of schemes that change the torch module before any runtime sees it. Each registers itself at import."""
