"""The child process of `embedded`: llama.cpp's own server, on loopback.

It is run by path (`python -P _llama_child.py`) and imports nothing of this
package, so a wheel, an editable install and a checkout all work alike.

- Settings come in as one JSON line on stdin. They hold the key, and what a
  process is given as argument or environment is shown by `ps`.
- `{"url": …}` goes out as one line on stdout. A failed start says nothing there:
  the reason is on stderr, and the process ends.
- stdin is also the lifeline. Its other end is held by every process that may
  use this server; when the last of them is gone, however it went, so is this one.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

# Tokens a single request may hold, prompt and answer together.
CONTEXT_TOKENS = 2048
REQUESTS_AT_ONCE = 2
ANSWER_TOKENS_MAX = 400
TEMPLATE = Path(__file__).with_name("smollm2-tools.jinja")


def main() -> None:
    """Serve until stdin ends."""
    answer = os.dup(1)
    os.dup2(2, 1)  # llama.cpp may print to stdout, which carries our one line
    line = sys.stdin.buffer.readline()
    if not line:
        return
    settings = json.loads(line)
    # A daemon, so that a failed start ends the process.
    lifeline = threading.Thread(target=_end_with_stdin, daemon=True)
    lifeline.start()
    # What the parent imports is what is imported here, however it got there.
    sys.path[:] = settings["sys_path"]
    server = _serve(Path(settings["gguf"]), settings["model"], settings["key"])
    os.write(answer, json.dumps({"url": server.listening_address}).encode() + b"\n")
    # stderr is a temporary file for the time of the start: it must not grow for ever.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    lifeline.join()


def _end_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def _serve(gguf: Path, model: str, key: str) -> Any:
    # Read once, when OpenMP is loaded. Threads that wait by spinning make
    # llama.cpp five to ten times slower as soon as one core is busy.
    os.putenv("OMP_WAIT_POLICY", "PASSIVE")
    os.putenv("GOMP_SPINCOUNT", "0")
    xllamacpp: Any = importlib.import_module("xllamacpp")

    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.model_alias = {model}
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], 0, [key]
    params.n_ctx, params.n_parallel = CONTEXT_TOKENS * REQUESTS_AT_ONCE, REQUESTS_AT_ONCE
    # Each finished prompt would be kept in memory, up to 8 GiB.
    params.cache_ram_mib = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = _threads()
    params.use_jinja, params.warmup, params.ui = True, False, False
    params.verbosity = 1  # errors only
    # An input to embed is processed in one batch: 512 tokens unless told.
    params.embedding = True
    params.n_batch = params.n_ubatch = CONTEXT_TOKENS
    if "smollm2" in gguf.name.lower():
        _suit_smollm2(params, xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN)
    return xllamacpp.Server(params)


def _suit_smollm2(params: Any, mean_pooling: Any) -> None:
    # Its own template knows no tools, and llama.cpp then drops them silently.
    params.chat_template = TEMPLATE.read_text(encoding="utf-8")
    # The file names no pooling; without one there is no embedding.
    params.pooling_type = mean_pooling
    # It fits any device; measuring that takes as long as the rest of the start.
    params.fit_params = False
    # A model this small repeats itself until something stops it.
    params.n_predict = ANSWER_TOKENS_MAX
    params.sampling.dry_multiplier = 0.8
    params.sampling.dry_allowed_length = 6
    params.sampling.dry_penalty_last_n = 256


def _threads() -> int:
    # The cores this process may use, where the system tells; all there are elsewhere.
    allowed = getattr(os, "sched_getaffinity", lambda _pid: range(os.cpu_count() or 1))
    cores = len(allowed(0))
    return max(1, min(4, cores // 2))


if __name__ == "__main__":
    main()
