#!/usr/bin/env python3
"""Shrink a byte-level vocabulary to what its test texts can reach.

    shrink.py IN.gguf OUT.gguf

Reads IN.gguf, IN.gguf.inp and IN.gguf.out; writes the same three for OUT. A merge whose result stands in none of the texts can never
be made in them, so without it they get the same tokens. Kept are all tokens that are no result of a merge, and the results of the merges
that are kept, in their order; the ids of the .out file are numbered anew.
"""
import struct
import sys

STRING, ARRAY = 8, 9
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, code):
        (value,) = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def text(self):
        size = self.number("Q")
        self.at += size
        return self.data[self.at - size:self.at]

    def value(self, kind):
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            of = self.number("I")
            return of, [self.value(of) for _ in range(self.number("Q"))]
        return self.number(SCALARS[kind])


def read(path):
    with open(path, "rb") as file:
        reader = Reader(file.read())
    assert reader.number("I") == int.from_bytes(b"GGUF", "little")
    version, tensors = reader.number("I"), reader.number("Q")
    assert tensors == 0
    keys = {}
    for _ in range(reader.number("Q")):
        key, kind = reader.text(), reader.number("I")
        keys[key.decode()] = kind, reader.value(kind)
    return version, keys


def write(path, version, keys):
    def text(value):
        return struct.pack("<Q", len(value)) + value

    def value(kind, of):
        if kind == STRING:
            return text(of)
        if kind == ARRAY:
            return struct.pack("<IQ", of[0], len(of[1])) + b"".join(value(of[0], v) for v in of[1])
        return struct.pack("<" + SCALARS[kind], of)

    with open(path, "wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", version, 0, len(keys)))
        for key, (kind, of) in keys.items():
            file.write(text(key.encode()) + struct.pack("<I", kind) + value(kind, of))


def alphabet():
    """GPT-2's characters for bytes."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, next_one = {b: chr(b) for b in shown}, 256
    for byte in range(256):
        if byte not in table:
            table[byte] = chr(next_one)
            next_one += 1
    return table


def main():
    source, target = sys.argv[1:3]
    version, keys = read(source)
    with open(source + ".inp", "rb") as file:
        texts = file.read()
    table = alphabet()
    shown = "".join(table[b] for b in texts)
    merges = [m.decode() for m in keys["tokenizer.ggml.merges"][1][1]]
    results = {m.replace(" ", ""): m for m in merges}
    kept = {r: m for r, m in results.items() if r in shown}
    tokens = [t.decode() for t in keys["tokenizer.ggml.tokens"][1][1]]
    types = keys["tokenizer.ggml.token_type"][1][1]
    number, new_tokens, new_types = {}, [], []
    for i, token in enumerate(tokens):
        if (token in results and token not in kept) or token.startswith("[PAD"):
            continue
        number[i] = len(new_tokens)
        new_tokens.append(token.encode())
        new_types.append(types[i])
    keys["tokenizer.ggml.tokens"] = ARRAY, (STRING, new_tokens)
    keys["tokenizer.ggml.token_type"] = ARRAY, (keys["tokenizer.ggml.token_type"][1][0], new_types)
    alive = set(kept.values())
    keys["tokenizer.ggml.merges"] = ARRAY, (STRING, [m.encode() for m in merges if m in alive])
    write(target, version, keys)
    with open(source + ".out", encoding="utf-8") as file:
        lines = [" ".join(str(number[int(i)]) for i in line.split()) for line in file.read().split("\n")]
    with open(target + ".out", "w", encoding="utf-8") as file:
        file.write("\n".join(" " + line if line else line for line in lines))
    with open(target + ".inp", "wb") as file:
        file.write(texts)
    print(len(new_tokens), "of", len(tokens), "tokens,", len(alive), "of", len(merges), "merges")


if __name__ == "__main__":
    main()
