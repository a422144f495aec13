"""The built-in templates: what each is known from, and which tokens it is written with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BuiltIn:
    """One row; its text is `<name>.jinja` beside this file."""

    summary: str
    end: str | None = None
    """The token that ends a turn; None: the tokenizer's own end token, whatever it is."""
    markers: tuple[str, ...] = ()
    """Other tokens that it is written with. A tokenizer that lacks them cuts them into pieces, which can be learned;
    one that has them is meant for this template."""


TABLE = {
    "alpaca": BuiltIn("### Instruction and ### Response, for any tokenizer"),
    "chatml": BuiltIn("ChatML: <|im_start|>role … <|im_end|>", "<|im_end|>", ("<|im_start|>",)),
    "llama2": BuiltIn("Llama 2 chat: [INST] <<SYS>> … [/INST]"),
    "llama3": BuiltIn(
        "Llama 3: <|start_header_id|>role<|end_header_id|> … <|eot_id|>; knows tools",
        "<|eot_id|>",
        ("<|start_header_id|>", "<|end_header_id|>"),
    ),
    "mistral": BuiltIn("Mistral instruct: [INST] … [/INST]", None, ("[INST]", "[/INST]")),
    "gemma": BuiltIn("Gemma: <start_of_turn>role … <end_of_turn>", "<end_of_turn>", ("<start_of_turn>",)),
    "phi": BuiltIn("Phi-3: <|user|> … <|end|>", "<|end|>", ("<|user|>", "<|assistant|>")),
    "vicuna": BuiltIn("Vicuna: USER: … ASSISTANT: …, for any tokenizer"),
    "zephyr": BuiltIn("Zephyr: <|user|> … and the tokenizer's end token"),
    "deepseek": BuiltIn("DeepSeek V3: <｜User｜> … <｜Assistant｜>", None, ("<｜User｜>", "<｜Assistant｜>")),
    "qwen": BuiltIn("Qwen 2.5 and 3: ChatML with tools", "<|im_end|>", ("<|im_start|>",)),
}
"""Type name -> row."""
