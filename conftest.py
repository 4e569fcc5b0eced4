pytest_plugins = [
    "fixtures.language_model",
    "fixtures.null",
    "fixtures.detection",
    "fixtures.reformulation_models",
    "fixtures.rewriter",
    "fixtures.decoder_lm",
    "fixtures.seq2seq_untrained",
    "fixtures.training",
    "fixtures.native",
    "fixtures.echo",
]
