"""The query reformulation over HTTP: `server` runs it, `app` is its endpoints, `batching` feeds the model."""
