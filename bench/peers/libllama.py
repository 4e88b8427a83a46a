#!/usr/bin/env python3
"""One measurement of llama.cpp's library, in a process of its own: what bench/peers/llama.cpp runs.

    libllama.py FOLDER MODEL.gguf [--threads N] [--prompt N] [--tokens N] [--repeat N] [--ids FILE] [--cold]

FOLDER has libllama.so and its libggml-*.so, as the npm package node-llama-cpp brings them. The prompt is one llama_decode, each
further token another. Everything else is left at the library's defaults (memory-mapped file, repacked weights, KV cache in F16, flash
attention where it thinks best). The prompt is read once so that all weights have been touched, then --repeat times, of which the median counts;
with --cold it is read once. Prints one JSON object: `load`, `first_run`, `prefill` (the prompt) and `decode` (all further tokens together) in seconds;
`first_token`, seconds from the beginning of this script to the first token (Python's own start is not in it); the tokens;
`max_rss`, the peak of resident memory.
"""
import argparse
import ctypes
import glob
import json
import os
import resource
import statistics
import sys
import time

BEGUN = time.monotonic()

# Structures of parameters go by value. They are taken from the library's own defaults in more room than they need; as the last argument
# such a structure lies on the stack (System V ABI for x86-64), where what follows it does no harm. Only n_ctx is changed, the first
# field of llama_context_params (include/llama.h of ggml-org/llama.cpp), and what became of it is asked from the library.
ROOM = 1024


class Parameters(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint8 * ROOM)]


class Batch(ctypes.Structure):
    """struct llama_batch"""
    _fields_ = [("n_tokens", ctypes.c_int32), ("token", ctypes.POINTER(ctypes.c_int32)), ("embd", ctypes.c_void_p),
                ("pos", ctypes.c_void_p), ("n_seq_id", ctypes.c_void_p), ("seq_id", ctypes.c_void_p), ("logits", ctypes.c_void_p)]


LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


class Library:
    """The functions used, declared. Raises OSError when the libraries cannot be loaded."""

    def __init__(self, folder, verbose=False):
        def find(*names):
            for name in names:
                found = sorted(glob.glob(os.path.join(folder, name)))
                if found:
                    return found[0]
            raise OSError(f"{folder}: no {names[0]}")

        def load(*names):
            return ctypes.CDLL(find(*names), mode=ctypes.RTLD_GLOBAL)

        load("libggml-base.so*")
        ggml = load("libggml.so*", "libggml.v*.so")
        self.lib = lib = load("libllama.so*", "libllama.v*.so")

        def declare(name, result, *arguments):
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments

        pointer, integer = ctypes.c_void_p, ctypes.c_int32
        declare("llama_log_set", None, pointer, pointer)
        declare("llama_backend_init", None)
        declare("llama_model_default_params", Parameters)
        declare("llama_context_default_params", Parameters)
        declare("llama_model_load_from_file", pointer, ctypes.c_char_p, Parameters)
        declare("llama_init_from_model", pointer, pointer, Parameters)
        declare("llama_n_ctx", ctypes.c_uint32, pointer)
        declare("llama_n_threads", integer, pointer)
        declare("llama_set_n_threads", None, pointer, integer, integer)
        declare("llama_model_get_vocab", pointer, pointer)
        declare("llama_vocab_n_tokens", integer, pointer)
        declare("llama_batch_get_one", Batch, ctypes.POINTER(ctypes.c_int32), integer)
        declare("llama_decode", integer, pointer, Batch)
        declare("llama_synchronize", None, pointer)
        declare("llama_get_memory", pointer, pointer)
        declare("llama_memory_clear", None, pointer, ctypes.c_bool)
        declare("llama_get_logits_ith", ctypes.POINTER(ctypes.c_float), pointer, integer)
        declare("llama_tokenize", integer, pointer, ctypes.c_char_p, integer, ctypes.POINTER(ctypes.c_int32), integer,
                ctypes.c_bool, ctypes.c_bool)
        self.silent = LOG(lambda level, text, data: None)
        if not verbose:
            lib.llama_log_set(ctypes.cast(self.silent, pointer), None)
            ggml_log = getattr(ctypes.CDLL(find("libggml-base.so*")), "ggml_log_set")
            ggml_log.restype, ggml_log.argtypes = None, (pointer, pointer)
            ggml_log(ctypes.cast(self.silent, pointer), None)
        ggml.ggml_backend_load_all_from_path(folder.encode())
        lib.llama_backend_init()


class Session:
    """A model and a context of it. Raises RuntimeError."""

    def __init__(self, library, path, threads, context):
        lib = self.lib = library.lib
        self.model = lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params())
        if not self.model:
            raise RuntimeError(f"{path}: llama.cpp does not load it")
        parameters = lib.llama_context_default_params()
        ctypes.memmove(parameters.bytes, ctypes.byref(ctypes.c_uint32(context)), 4)
        self.context = lib.llama_init_from_model(self.model, parameters)
        if not self.context:
            raise RuntimeError(f"{path}: llama.cpp makes no context")
        lib.llama_set_n_threads(self.context, threads, threads)
        found = lib.llama_n_ctx(self.context), lib.llama_n_threads(self.context)
        if found[0] < context or found[1] != threads:
            raise RuntimeError(f"context and threads are {found}, expected {(context, threads)}: another layout of parameters?")
        self.vocabulary = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self.model))

    def decode(self, ids):
        """Evaluates the ids after those before; returns the likeliest next id."""
        array = (ctypes.c_int32 * len(ids))(*ids)
        if self.lib.llama_decode(self.context, self.lib.llama_batch_get_one(array, len(ids))) != 0:
            raise RuntimeError("llama_decode failed")
        self.lib.llama_synchronize(self.context)
        return self.lib.llama_get_logits_ith(self.context, -1)

    def forget(self):
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)

    def some_token(self, logits):
        """The likeliest of every 97th token: Python would need as long for all of them as a small model for its work."""
        row = memoryview((ctypes.c_float * self.vocabulary).from_address(ctypes.addressof(logits.contents))).cast("B").cast("f")
        return max(range(0, self.vocabulary, 97), key=row.__getitem__)

    def tokenize(self, text):
        out = (ctypes.c_int32 * (len(text) + 16))()
        vocab = self.lib.llama_model_get_vocab(self.model)
        data = text.encode()
        count = self.lib.llama_tokenize(vocab, data, len(data), out, len(out), True, False)
        return list(out[:count])


def prompt_ids(count, vocabulary):
    """The prompt both engines read (BenchPrompt of src/measure/bench_inference.cc)."""
    low, high = (0, vocabulary) if vocabulary < 1000 else (300, min(vocabulary * 3 // 4, vocabulary - 300))
    return [low + (i * 7919 + 13) % (high - low) for i in range(count)]


def measure(library, options):
    start = time.monotonic()
    session = Session(library, options.model, options.threads, options.prompt + options.tokens + 8)
    load = time.monotonic() - start
    if options.ids:
        with open(options.ids, encoding="utf-8") as file:
            ids = json.load(file)
    else:
        ids = prompt_ids(options.prompt, session.vocabulary)
    start = time.monotonic()
    logits = session.decode(ids)
    read = time.monotonic()
    result = {"load": load, "first_run": read - start, "first_token": read - BEGUN}
    prefills, decodes = ([read - start] if options.cold else []), []
    for _ in range(1 if options.cold else options.repeat):
        if not options.cold:
            session.forget()
            start = time.monotonic()
            logits = session.decode(ids)
            prefills.append(time.monotonic() - start)
        # Which token is next is chosen outside of the time: it costs llama.cpp next to nothing, but Python does not.
        generated, decode = [], 0
        for _ in range(options.tokens):
            generated.append(session.some_token(logits))
            start = time.monotonic()
            logits = session.decode(generated[-1:])
            decode += time.monotonic() - start
        decodes.append(decode)
    result["prefill"], result["decode"] = statistics.median(prefills), statistics.median(decodes)
    result["generated"] = generated
    result["finite"] = all(abs(x) < 1e30 for x in logits[:session.vocabulary])
    result["max_rss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--ids", help="a JSON array of ids instead of the usual prompt")
    parser.add_argument("--repeat", type=int, default=1, help="how often the prompt is read again and followed by tokens")
    parser.add_argument("--cold", action="store_true", help="the prompt once")
    parser.add_argument("--tokenize", metavar="TEXT", help="only print the ids of this text")
    parser.add_argument("--verbose", action="store_true", help="with the library's own log")
    options = parser.parse_args()
    try:
        library = Library(os.path.abspath(options.folder), options.verbose)
        if options.tokenize is not None:
            print(json.dumps(Session(library, options.model, 1, 64).tokenize(options.tokenize)))
            return
        print(json.dumps(measure(library, options)))
    except (OSError, RuntimeError) as error:
        sys.exit(f"libllama.py: {error}")


if __name__ == "__main__":
    main()
