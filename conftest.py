pytest_plugins = ["fixtures.language_model"]
