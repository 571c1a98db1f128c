"""Name models, see who serves them here, ask, and see who answered."""

from __future__ import annotations

from langchain_core.messages import AIMessageChunk

from langchain_autoprovider import AutoChatModel

QUESTION = "What is a provider? Answer in one sentence."

# The two named models need a key or a model server on this machine. Without either,
# AutoChatModel() uses the embedded model.
for name in ("mixtral-8x7b", "gpt-oss-120b"):
    print(AutoChatModel(name).explain(), "\n")

llm = AutoChatModel(temperature=0)
print(f"Asking {llm.routes[0]}: {QUESTION}\n")

answer = AIMessageChunk(content="")
for chunk in llm.stream(QUESTION):
    print(chunk.text, end="", flush=True)
    answer += chunk

trace = answer.response_metadata["autoprovider"]
print(f"\n\nAnswered by {trace['provider']} as {trace['model_id']!r}", end=" ")
print(f"after {len(trace['attempts'])} attempt(s), first output after {trace['ttft_ms']:.0f} ms.")
print(f"{len(trace['skipped'])} candidates were skipped; the first:")
for skipped in trace["skipped"][:3]:
    print(f"  {skipped['provider']}: {skipped['reason']}")
