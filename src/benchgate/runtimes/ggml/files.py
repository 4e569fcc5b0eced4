"""Writing GGUF files, and checking one before the C library opens it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchgate.core import DataError, Scheme
from benchgate.core.arrays import np
from benchgate.runtimes.ggml.convert import Converted
from benchgate.runtimes.ggml.header import AGAIN, check
from benchgate.runtimes.ggml.library import Library
from benchgate.runtimes.ggml.mix import assign
from benchgate.storage.download import progress
from benchgate.storage.reading import reading

MODEL_FILE = "model.gguf"


def write(path: Path, converted: Converted, scheme: Scheme, library: Library, name: str) -> None:
    """Write `converted` as GGUF, each tensor in the type that the scheme's mixture gives it, one tensor in memory.

    `scheme.options`: `file_type`, llama.cpp's name of the mixture, and `type`, its default tensor type.
    """
    import gguf

    types = assign(converted.sizes, scheme.options["file_type"], scheme.options["type"], converted.shape)
    writer = gguf.GGUFWriter(path, converted.architecture)
    writer.add_name(name)
    writer.add_tokenizer_model("none")
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_file_type(gguf.LlamaFileType[_FILE_TYPE.get(scheme.options["file_type"], "MOSTLY_{}").format(
        scheme.options["file_type"])])  # fmt: skip
    _add_metadata(writer, converted)
    for tensor_name, size in converted.sizes.items():
        kind = gguf.GGMLQuantizationType[types[tensor_name]]
        bytes_ = gguf.quant_shape_to_byte_shape(size, kind)
        writer.add_tensor_info(tensor_name, size, np.dtype(np.float32), int(np.prod(bytes_)), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    try:
        with progress(f"writing {name} as {scheme.name}", len(types)) as advance:
            for tensor_name, tensor in converted.tensors():
                writer.write_tensor_data(encode(tensor, types[tensor_name], library, f"{name}: {tensor_name}"))
                advance(1)
    finally:
        writer.close()


_FILE_TYPE = {"F32": "ALL_F32"}


def _add_metadata(writer: Any, converted: Converted) -> None:
    for key, value in converted.metadata.items():
        full = f"{converted.architecture}.{key}"
        if isinstance(value, str):
            writer.add_string(full, value)
        elif isinstance(value, float):
            writer.add_float32(full, value)
        else:
            writer.add_uint32(full, value)


def encode(tensor: np.ndarray, kind: str, library: Library, where: str) -> np.ndarray:
    """A float32 tensor in GGML type `kind`, as bytes; quantized by the library's own routine.

    Raises DataError for weights that do not fit float16 or that the library cannot encode.
    """
    import gguf

    if kind == "F32":
        return np.ascontiguousarray(tensor, dtype=np.float32)
    if kind == "F16":
        with np.errstate(over="ignore"):
            half = tensor.astype(np.float16)
        if not np.isfinite(half).all():
            raise DataError(f"{where}: weights up to {np.abs(tensor).max():.3g} do not fit float16; use scheme fp32")
        return half
    number = gguf.GGMLQuantizationType[kind]
    source = np.ascontiguousarray(tensor, dtype=np.float32)
    target = np.empty(gguf.quant_shape_to_byte_shape(source.shape, number), dtype=np.uint8)
    from_, to = library.ffi.from_buffer("float[]", source), library.ffi.from_buffer("char[]", target)
    size = library.c.ggml_quantize_chunk(
        int(number), from_, to, 0, source.size // source.shape[-1], source.shape[-1], library.ffi.NULL
    )
    if size != target.nbytes or not library.c.ggml_validate_row_data(int(number), to, size):
        raise DataError(
            f"{where}: {kind} gave invalid blocks; the weights may be out of its range; use scheme gguf-f16"
        )
    return target


def read(path: Path) -> dict[str, Any]:
    """Architecture, tensor types and real bits per weight of a GGUF file, having checked that it is whole.

    Raises DataError naming the file when it is missing, no GGUF, of a damaged header or cut short.
    """
    import gguf

    check(path)
    with reading(path, "a GGUF file", AGAIN.removeprefix("; ")):
        reader = gguf.GGUFReader(path)
        architecture = str(reader.fields["general.architecture"].contents())
    end = max((tensor.data_offset + tensor.n_bytes for tensor in reader.tensors), default=0)
    if end == 0 or end > path.stat().st_size:
        raise DataError(f"{path}: cut short, {path.stat().st_size:,} bytes of {end:,}{AGAIN}")
    return {"architecture": architecture, **_figures(reader.tensors)}


def _figures(tensors: Any) -> Mapping[str, Any]:
    weights = sum(int(tensor.n_elements) for tensor in tensors)
    size = sum(int(tensor.n_bytes) for tensor in tensors)
    return {
        "weights": dict(Counter(tensor.tensor_type.name for tensor in tensors).most_common()),
        "bits_per_weight": round(8 * size / weights, 3),
    }
