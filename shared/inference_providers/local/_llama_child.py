"""The child process of `llama_server`: llama.cpp's own server, on loopback.

It is run by path (`python -P _llama_child.py`) and imports nothing of this package, so it works
the same from a wheel, an editable install and a checkout.

- The settings are one JSON line on stdin. They include the key, and `ps` would show arguments and
  environment variables.
- One line goes to stdout: `{"url": …}`. If the start fails, nothing goes there; the reason is on
  stderr, and the process ends.
- stdin is also the lifeline. Every process that may use this server holds its other end. When the
  last of them ends, for whatever reason, so does this one.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

# Tokens of one request, prompt and answer together.
CONTEXT_TOKENS = 2048
PARALLEL_REQUESTS = 2
MAX_ANSWER_TOKENS = 400
TEMPLATE = Path(__file__).with_name("smollm2-tools.jinja")


def main() -> None:
    """Serve until stdin ends."""
    reply = os.dup(1)
    os.dup2(2, 1)  # llama.cpp may print to stdout, which is for our one line
    line = sys.stdin.buffer.readline()
    if not line:
        return
    settings = json.loads(line)
    # A daemon thread does not keep the process alive after a failed start.
    lifeline = threading.Thread(target=_end_with_stdin, daemon=True)
    lifeline.start()
    # Import the same packages as the parent, wherever it found them.
    sys.path[:] = settings["sys_path"]
    server = _serve(Path(settings["gguf"]), settings["model"], settings["key"])
    os.write(reply, json.dumps({"url": server.listening_address}).encode() + b"\n")
    # stderr is a temporary file during the start; it must not grow forever.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    lifeline.join()


def _end_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def _serve(gguf: Path, model: str, key: str) -> Any:
    # OpenMP reads these once, when it is loaded. Threads that spin while they wait make llama.cpp
    # five to ten times slower as soon as one core is busy.
    os.putenv("OMP_WAIT_POLICY", "PASSIVE")
    os.putenv("GOMP_SPINCOUNT", "0")
    xllamacpp: Any = importlib.import_module("xllamacpp")

    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.model_alias = {model}
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], 0, [key]
    params.n_ctx, params.n_parallel = CONTEXT_TOKENS * PARALLEL_REQUESTS, PARALLEL_REQUESTS
    # By default it keeps finished prompts in memory, up to 8 GiB.
    params.cache_ram_mib = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = _threads()
    params.use_jinja, params.warmup, params.ui = True, False, False
    params.verbosity = 1  # errors only
    # Text to embed is processed in one batch, which has 512 tokens by default.
    params.embedding = True
    params.n_batch = params.n_ubatch = CONTEXT_TOKENS
    if "smollm2" in gguf.name.lower():
        _configure_smollm2(params, xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN)
    return xllamacpp.Server(params)


def _configure_smollm2(params: Any, mean_pooling: Any) -> None:
    # The model's template does not support tools, and llama.cpp then drops them silently.
    params.chat_template = TEMPLATE.read_text(encoding="utf-8")
    # The file does not name a pooling type, without which embedding fails.
    params.pooling_type = mean_pooling
    # The model fits every device; measuring that takes as long as the rest of the start.
    params.fit_params = False
    # A model this small repeats itself endlessly.
    params.n_predict = MAX_ANSWER_TOKENS
    params.sampling.dry_multiplier = 0.8
    params.sampling.dry_allowed_length = 6
    params.sampling.dry_penalty_last_n = 256


def _threads() -> int:
    # The cores that this process may use, or all cores where the system does not say.
    allowed = getattr(os, "sched_getaffinity", lambda _pid: range(os.cpu_count() or 1))
    cores = len(allowed(0))
    return max(1, min(4, cores // 2))


if __name__ == "__main__":
    main()
