"""The support of CTranslate2: T5. A session is called `(folder, model, threads)`; what compresses is the converter."""

from __future__ import annotations

from benchgate.core.support import compressor, session

session(
    "ctranslate2",
    "text2text",
    "benchgate.runtimes.ctranslate2.runtime:CTranslate2Session",
    refuses="benchgate.tasks.text2text.stepped:other_than_t5",
    by_name=True,
)
compressor("ctranslate2", "float", dtypes=("float32",))
compressor("ctranslate2", "int8-dynamic")
