#!/usr/bin/env python3
"""Cuts passages whose last word is to be guessed out of the texts of this folder: last_words.jsonl.

As in LAMBADA (Paperno et al. 2016, arXiv 1606.06031), a passage ends with the word in question, without what follows it, and the
word stands in the passage before (as it does in most of LAMBADA's). Unlike there, nobody checked that people can guess it.
A passage is of 30 to 60 words of one speech or one problem; of each speech or problem the first that fits is taken.

    python3 data/make_last_words.py
"""
import json
import pathlib
import re

FOLDER = pathlib.Path(__file__).parent
FEWEST, MOST, LETTERS, PASSAGES = 30, 60, 4, 100


def passage(text):
    """The text up to the first word that fits, or None."""
    seen = set()
    for i, word in enumerate(re.finditer(r"\S+", text)):
        bare = re.sub(r"[^\w'’]+$", "", word[0])
        plain = re.sub(r"[^\w]+", "", bare).lower()
        if i >= MOST:
            break
        if i >= FEWEST and len(plain) >= LETTERS and plain.isalpha() and plain in seen:
            return text[: word.start() + len(bare)].lstrip()
        seen.add(plain)
    return None


def main():
    with open(FOLDER / "last_words.jsonl", "w", encoding="utf-8") as out:
        for tag, name, parts in (("text", "shakespeare.txt", r"\n\n"), ("math", "gsm8k.txt", r"\n\n")):
            text = (FOLDER / name).read_text(encoding="utf-8")
            found = [p for p in map(passage, re.split(parts, text)) if p]
            for p in found[:PASSAGES]:
                out.write(json.dumps({"tag": tag, "text": p}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
