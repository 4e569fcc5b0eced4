"""llama.cpp's C interface inside the xllamacpp wheel, bound by cffi.

The wheel exports the C API but brings no headers, and its struct layouts change between builds: the declarations
below are those of one build (include/llama.h of llama.cpp 0.6, ggml.h, and what its default-parameter functions write:
`callbacks` are three null pointers, of which only two are documented), and `library()` refuses any other version and
any build whose default parameters do not read back as expected.
"""

from __future__ import annotations

import atexit
import functools
import importlib.metadata
import importlib.util
from collections.abc import Callable
from typing import Any

from benchgate.core import Unavailable

XLLAMACPP = "2026.10.11549"
# llama.cpp's own limit (LLAMA_MAX_SEQ) of sequences in one context.
MAX_SEQUENCES = 256

DECLARATIONS = """
typedef struct llama_model_params {
    void * devices; void * tensor_buft_overrides;
    int32_t n_gpu_layers; int32_t split_mode; int32_t load_mode; int32_t lazy_mode; int32_t main_gpu;
    const float * tensor_split; void * progress_callback; void * progress_callback_user_data; void * kv_overrides;
    bool vocab_only; bool check_tensors; bool use_extra_bufts; bool no_host; bool no_alloc; bool load_mtp;
} llama_model_params;
typedef struct llama_context_params {
    uint32_t n_ctx; uint32_t n_batch; uint32_t n_ubatch; uint32_t n_seq_max; uint32_t n_rs_seq;
    uint32_t n_outputs_max; uint32_t n_outputs_max_per_seq; int32_t n_threads; int32_t n_threads_batch;
    int32_t ctx_type; int32_t rope_scaling_type; int32_t pooling_type; int32_t attention_type; int32_t flash_attn_type;
    float rope_freq_base; float rope_freq_scale; float yarn_ext_factor; float yarn_attn_factor; float yarn_beta_fast;
    float yarn_beta_slow; uint32_t yarn_orig_ctx; float defrag_thold;
    void * cb_eval; void * cb_eval_user_data; int32_t type_k; int32_t type_v;
    void * callbacks[3];
    bool embeddings; bool offload_kqv; bool no_perf; bool op_offload; bool swa_full; bool kv_unified;
    void * samplers; size_t n_samplers; void * ctx_other;
} llama_context_params;
typedef struct llama_batch {
    int32_t n_tokens; int32_t * token; float * embd; int32_t * pos; int32_t * n_seq_id; int32_t ** seq_id;
    int8_t * logits;
} llama_batch;
typedef void (*ggml_log_callback)(int32_t level, const char * text, void * user_data);

void llama_backend_init(void);
void llama_log_set(ggml_log_callback callback, void * user_data);
const char * llama_version(void);
const char * llama_print_system_info(void);
llama_model_params llama_model_default_params(void);
llama_context_params llama_context_default_params(void);
void * llama_model_load_from_file(const char * path, llama_model_params params);
void llama_model_free(void * model);
bool llama_model_has_encoder(const void * model);
bool llama_model_has_decoder(const void * model);
int32_t llama_model_n_ctx_train(const void * model);
uint64_t llama_model_size(const void * model);
const void * llama_model_get_vocab(const void * model);
int32_t llama_vocab_n_tokens(const void * vocab);
void * llama_init_from_model(void * model, llama_context_params params);
void llama_free(void * context);
uint32_t llama_n_ctx_seq(const void * context);
void * llama_get_memory(const void * context);
void llama_memory_clear(void * memory, bool data);
bool llama_memory_seq_rm(void * memory, int32_t sequence, int32_t from, int32_t to);
void llama_memory_seq_cp(void * memory, int32_t source, int32_t target, int32_t from, int32_t to);
int32_t llama_encode(void * context, llama_batch batch);
int32_t llama_decode(void * context, llama_batch batch);
float * llama_get_logits_ith(void * context, int32_t i);
size_t ggml_quantize_chunk(int32_t type, const float * src, void * dst, int64_t start, int64_t nrows,
                           int64_t n_per_row, const float * imatrix);
bool ggml_validate_row_data(int32_t type, const void * data, size_t nbytes);
"""

# What the default parameters are in that build's source (llama-model.cpp, llama-context.cpp).
MODEL_DEFAULTS = {"n_gpu_layers": -1, "split_mode": 1, "load_mode": -1, "lazy_mode": 1, "main_gpu": 0}
MODEL_DEFAULTS |= {"vocab_only": 0, "check_tensors": 0, "use_extra_bufts": 1, "no_host": 0, "load_mtp": 0}
CONTEXT_DEFAULTS = {"n_ctx": 512, "n_batch": 2048, "n_ubatch": 512, "n_seq_max": 1, "flash_attn_type": -1}
CONTEXT_DEFAULTS |= {"yarn_ext_factor": -1, "yarn_orig_ctx": 0, "defrag_thold": -1, "type_k": 1, "type_v": 1}
CONTEXT_DEFAULTS |= {"embeddings": 0, "offload_kqv": 1, "no_perf": 1, "op_offload": 1, "swa_full": 1, "kv_unified": 0}

_LOG_ERROR, _LOG_CONTINUED = 4, 5


class Library:
    """The bound functions as `c`, cffi's `ffi`, and the error lines that the library logged last.

    Made once a process by `library()`. Functions release the GIL while they run.
    """

    def __init__(self, path: str) -> None:
        import cffi

        self.ffi: Any = cffi.FFI()
        self.ffi.cdef(DECLARATIONS)
        self.c: Any = self.ffi.dlopen(path)
        self._check("llama_model_default_params", MODEL_DEFAULTS)
        self._check("llama_context_default_params", CONTEXT_DEFAULTS)
        self._errors: list[str] = []
        self._last_level = 0
        # The library keeps the pointer: ours must live as long as it does, and be gone before Python is.
        self._callback = self.ffi.callback("ggml_log_callback", self._log)
        self.c.llama_log_set(self._callback, self.ffi.NULL)
        atexit.register(self.c.llama_log_set, self.ffi.NULL, self.ffi.NULL)
        self.c.llama_backend_init()

    def _check(self, function: str, expected: dict[str, int]) -> None:
        found = getattr(self.c, function)()
        wrong = {name: getattr(found, name) for name, value in expected.items() if getattr(found, name) != value}
        if wrong:
            raise Unavailable(
                f"xllamacpp's {function} answers {wrong} where version {XLLAMACPP} has "
                f"{ {name: expected[name] for name in wrong} }: its C structs are laid out differently; {_INSTALL}"
            )

    def _log(self, level: int, text: Any, user_data: Any) -> None:
        self._last_level = self._last_level if level == _LOG_CONTINUED else level
        if self._last_level == _LOG_ERROR:
            self._errors.append(self.ffi.string(text).decode("utf-8", "replace"))

    def quietly(self, call: Callable[[], Any]) -> tuple[Any, str]:
        """The result of `call()` and what the library logged as errors meanwhile, on one line."""
        self._errors.clear()
        result = call()
        return result, " / ".join("".join(self._errors).split("\n")).strip(" /")

    def text(self, pointer: Any) -> str:
        found: str = self.ffi.string(pointer).decode("utf-8", "replace")
        return found


_INSTALL = f"pip install xllamacpp=={XLLAMACPP}"


def wrong_version() -> str | None:
    """Why the installed xllamacpp cannot be driven by this binding, or None. Loads nothing."""
    found = importlib.metadata.version("xllamacpp")
    if found == XLLAMACPP:
        return None
    return f"xllamacpp {found} is installed; its C structs are only known for {XLLAMACPP}; {_INSTALL}"


@functools.cache
def library() -> Library:
    """The library, loaded and checked. Raises Unavailable for a version that this binding does not know."""
    if reason := wrong_version():
        raise Unavailable(reason)
    spec = importlib.util.find_spec("xllamacpp.xllamacpp")
    if spec is None or spec.origin is None:
        raise Unavailable(f"xllamacpp {XLLAMACPP} has no compiled part on this machine; {_INSTALL} --force-reinstall")
    return Library(spec.origin)
