"""Step 13: count the texts of the base in an `eval` that contain markup or repeat themselves.

    python step13_loops.py DIR/texts.jsonl

A text repeats itself if more than two of its sequences of four words occurred in it before.
"""

import json
import re
import sys

MARKUP = re.compile(r"<|br\s*/|&[a-z]+;")


def repeats(text):
    words = text.split()
    runs = [tuple(words[i:i + 4]) for i in range(len(words) - 3)]
    return len(runs) - len(set(runs)) > 2


def main():
    with open(sys.argv[1], encoding="utf-8") as lines:
        texts = [row["text"] for row in map(json.loads, lines) if row["arm"] == "base"]
    print(json.dumps({
        "texts": len(texts),
        "with_markup": sum(bool(MARKUP.search(text)) for text in texts),
        "that_repeat": sum(map(repeats, texts))}))


if __name__ == "__main__":
    main()
