"""Structured extraction over a batch, with a progress bar; each answer matches the schema."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pydantic import BaseModel, Field
from rich.console import Console
from rich.progress import track
from rich.table import Table

from langchain_autoprovider import AutoChatModel


class Person(BaseModel):
    """The person a sentence is about."""

    name: str = Field(description="the person's name")
    age: int = Field(description="the person's age in years")


SENTENCES = [
    "Anna is 31 years old and lives in Vienna.",
    "Our youngest, Ben, has just turned 7.",
    "At 84, Clara still swims every morning.",
    "David, 45, teaches physics.",
]

llm = AutoChatModel(temperature=0, max_tokens=80)
# Without `method=`, each route uses the best one that it supports: a JSON schema or a tool.
extract: Any = llm.with_structured_output(Person, include_raw=True)
answers = extract.batch_as_completed(SENTENCES, {"max_concurrency": 2})
results = dict(track(answers, "Extracting", total=len(SENTENCES), console=Console(stderr=True)))

table = Table("sentence", "name", "age")
served: Counter[str] = Counter()
for n, sentence in enumerate(SENTENCES):
    person = results[n]["parsed"]
    served[results[n]["raw"].response_metadata["autoprovider"]["provider"]] += 1
    table.add_row(sentence, *(("?", "?") if person is None else (person.name, str(person.age))))
Console().print(table)
for provider, count in served.items():
    print(f"Answered by {provider}: {count}")
