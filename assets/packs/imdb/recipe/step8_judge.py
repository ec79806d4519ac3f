"""Step 8: train the gold judge, a linear classifier over hashed word n-grams.

The judge has another architecture than the guides. It is trained on the odd-indexed labelled
reviews, whose labels no other model uses. A teacher is trained on these reviews first. The judge
is trained on them, on the teacher's predictions for the unlabelled reviews, and on random crops
of all reviews, so that it can score short texts as well as whole reviews (self-training). The
features of teacher and judge are scaled by naive Bayes log-count ratios (Wang and Manning, ACL
2012). A scale and an offset are fitted on a fifth of the labelled reviews with a first judge that was not trained on
them (Platt, 1999), and merged into the weights.

    gold reward = log p(positive) - log p(negative) = bias + sum_{b in B} w_b / |B|^p

B is the set of distinct buckets of the text. All steps are defined on bytes; the program's
`src/judge/ngrams.rs` splits and hashes texts in the same way. Writes PACK/judge and
judge_results.json.
"""

import argparse
import json
import pathlib
import re

import numpy as np
import scipy.sparse
from safetensors.numpy import save_file
from scipy.optimize import minimize
from scipy.special import expit
from tokenizers import Tokenizer

import step0_prepare

PUNCTUATION = "!?.,;:()"
WORD = re.compile(rb"[a-z0-9'\x80-\xff]+|[" + re.escape(PUNCTUATION).encode() + rb"]")
NGRAMS, BUCKETS, LENGTH_POWER = 2, 1 << 18, 0.4
CROP_WORDS = (30, 130)
UNLABELLED_WEIGHT, CROP_WEIGHT = 0.5, 0.5
TEACHER_PENALTY, JUDGE_PENALTY = 0.02, 0.06
SHARPENING = 1.1  # factor on the teacher's log-odds, which are slightly underconfident
FNV_START, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


# ---------------------------------------------------------------- features


def words(text):
    """Returns lower-case words and punctuation marks as bytes. `bytes.lower` changes only A to Z."""
    return WORD.findall(text.replace("\u2019", "'").encode("utf-8").lower())


def fnv(data, state=FNV_START):
    for byte in data:
        state = ((state ^ byte) * FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return state


def bucket(state):
    return (state ^ (state >> 32)) & (BUCKETS - 1)


class Hasher:
    """Computes the buckets of texts. Caches the hashes of words and pairs."""

    def __init__(self):
        self.states, self.pairs = {}, {}

    def of_text(self, text):
        """Returns (buckets of single words [n], buckets of pairs [n - 1]) in text order."""
        tokens = words(text)
        for word in tokens:
            if word not in self.states:
                self.states[word] = fnv(word)
        for pair in zip(tokens, tokens[1:]):
            if pair not in self.pairs:
                self.pairs[pair] = bucket(fnv(b" " + pair[1], self.states[pair[0]]))
        singles = [bucket(self.states[word]) for word in tokens]
        return np.array(singles, np.int32), np.array([self.pairs[p] for p in zip(tokens, tokens[1:])], np.int32)


def distinct(text, begin=0, end=None):
    """Returns the distinct buckets of the words `begin` to `end` of a hashed text."""
    end = len(text[0]) if end is None else end
    return np.unique(np.concatenate((text[0][begin:end], text[1][begin : max(begin, end - 1)])))


def matrix(sets):
    """Returns a sparse matrix with ones at the buckets of each text, [texts, BUCKETS]."""
    ends = np.cumsum([0] + [len(s) for s in sets])
    ones = np.ones(ends[-1], np.float32)
    return scipy.sparse.csr_matrix((ones, np.concatenate(sets), ends), shape=(len(sets), BUCKETS))


def scaled(x):
    """Divides each row by |B|^p."""
    sizes = np.diff(x.indptr)
    factors = np.maximum(sizes, 1) ** -LENGTH_POWER
    return scipy.sparse.csr_matrix((np.repeat(factors, sizes).astype(np.float32), x.indices, x.indptr), shape=x.shape)


def crops(texts, count, random):
    """Returns `count` crops of every text, half of them from its beginning, and the index of the
    text of each."""
    sets, owners = [], np.arange(len(texts)).repeat(count)
    for owner in owners:
        size = len(texts[owner][0])
        length = min(int(random.integers(CROP_WORDS[0], CROP_WORDS[1] + 1)), size)
        begin = 0 if random.random() < 0.5 else int(random.integers(0, size - length + 1))
        sets.append(distinct(texts[owner], begin, begin + length))
    return sets, owners


# ---------------------------------------------------------------- training


def log_count_ratios(x, targets, weights):
    """Returns log p(bucket | positive) - log p(bucket | negative), add-one smoothed, [BUCKETS]."""
    positive, negative = x.T @ (targets * weights) + 1, x.T @ ((1 - targets) * weights) + 1
    return np.log(positive / positive.sum()) - np.log(negative / negative.sum())


def fit(x, targets, weights, ratios, penalty, iterations):
    """Fits a weighted logistic regression on features multiplied by `ratios`. Returns (w, bias)."""
    ratios, transposed = ratios.astype(np.float32), x.T.tocsr()

    def loss(theta):
        v = theta[:-1]
        z = (x @ (ratios * v).astype(np.float32)).astype(np.float64) + theta[-1]
        value = (weights * (np.logaddexp(0, z) - targets * z)).sum() + penalty / 2 * (v @ v)
        slope = weights * (expit(z) - targets)
        return value, np.append(ratios * (transposed @ slope.astype(np.float32)) + penalty * v, slope.sum())

    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B",
                     options={"maxiter": iterations, "maxcor": 8}).x
    return ratios * found[:-1], found[-1]


def train(labelled, labels, unlabelled, random):
    """Trains a judge on hashed texts. Returns (w, bias)."""
    whole, others = matrix([distinct(t) for t in labelled]), matrix([distinct(t) for t in unlabelled])
    ones = np.ones(len(labels))
    w, b = fit(scaled(whole), labels, ones, log_count_ratios(whole, labels, ones), TEACHER_PENALTY, 30)
    opinions = expit(SHARPENING * (scaled(others) @ w + b))
    own, own_of = crops(labelled, 2, random)
    foreign, foreign_of = crops(unlabelled, 1, random)
    targets = np.concatenate((labels, opinions))
    weights = np.concatenate((ones, np.full(len(opinions), UNLABELLED_WEIGHT)))
    ratios = log_count_ratios(scipy.sparse.vstack([whole, others]).tocsr(), targets, weights)
    x = scaled(scipy.sparse.vstack([whole, others, matrix(own), matrix(foreign)]).tocsr())
    targets = np.concatenate((targets, labels[own_of], opinions[foreign_of]))
    weights = np.concatenate((weights, np.full(len(own), CROP_WEIGHT),
                              np.full(len(foreign), CROP_WEIGHT * UNLABELLED_WEIGHT)))
    return fit(x, targets, weights, ratios, JUDGE_PENALTY, 80)


def calibration(log_odds, labels):
    """Returns the maximum likelihood (scale, offset) of the log-odds."""
    loss = lambda q: np.mean(np.logaddexp(0, q[0] * log_odds + q[1]) - labels * (q[0] * log_odds + q[1]))
    return minimize(loss, [1.0, 0.0], method="BFGS").x


def beginning(text):
    """Returns the buckets of the first 50 words, about the length of a prompt with 50 tokens."""
    return distinct(text, 0, 50)


# ---------------------------------------------------------------- measuring and writing


def calibration_error(log_odds, labels, bins=15):
    """Returns the expected calibration error of p(positive) over bins of equal width (Guo et al.,
    2017)."""
    p = expit(log_odds)
    bin_of = np.minimum((p * bins).astype(int), bins - 1)
    return sum(abs((p - labels)[bin_of == i].sum()) for i in range(bins)) / len(p)


def measured(log_odds, labels):
    quantiles = lambda of: [round(float(q), 2) for q in np.quantile(log_odds[labels == of], (0.05, 0.5, 0.95))]
    return {"reviews": len(labels), "accuracy": round(float(np.mean((log_odds > 0) == (labels > 0))), 4),
            "expected_calibration_error": round(float(calibration_error(log_odds, labels)), 4),
            "log_odds_5_50_95_percent_of_positive": quantiles(1), "of_negative": quantiles(0)}


def judged(buckets, w, bias):
    """Returns the log-odds of a set of buckets in double precision, as the program computes them."""
    return bias + w[buckets].astype(np.float64).sum() / max(1, len(buckets)) ** LENGTH_POWER


def write(folder, w, bias):
    folder.mkdir(parents=True, exist_ok=True)
    config = {"kind": "hashed-ngrams", "ngrams": NGRAMS, "punctuation": PUNCTUATION, "buckets": BUCKETS,
              "length_power": LENGTH_POWER, "bias": bias}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file({"weights": w}, folder / "model.safetensors", metadata={"format": "pt"})


GOLDEN = ("", "!?!", "A wonderful film.", "I LOVED it; don\u2019t miss it!", "\u00c9lan, na\u00efve caf\u00e9",
          "\u6620\u753b \U0001f3ac great (8/10)", "line one\nline two\n\nterrible", "dull... dull: DULL",
          "it's its' 'it", "The worst movie I have ever seen. I want my money back!", "x" * 300)


def write_golden(path, hasher, longest, w, bias):
    cases = []
    for text in (*GOLDEN, longest):
        hashed = hasher.of_text(text)
        buckets = distinct(hashed) if len(hashed[0]) else np.zeros(0, np.int32)
        cases.append({"text": text, "log_odds": float(judged(buckets, w, bias))})
    path.write_text(json.dumps(cases, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--pack", type=pathlib.Path, required=True)
    parser.add_argument("--golden", type=pathlib.Path, help="file for the golden cases of the program's test")
    parser.add_argument("--seed", type=int, default=8)
    args = parser.parse_args()
    random = np.random.default_rng(args.seed)
    tokenizer, hasher = Tokenizer.from_file(str(args.work / "tokenizer.json")), Hasher()
    load = lambda name: json.loads((args.work / name).read_text())
    kept, held = load("labelled.json")[1::2], load("heldback.json")
    texts_of = lambda reviews: tokenizer.decode_batch([r["ids"] for r in reviews])
    held_texts = texts_of(held)
    known = set(held_texts)
    rows = step0_prepare.read_reviews(args.data / "imdb_unsup.jsonl.gz")
    others = [t for t in dict.fromkeys(r["text"] for r in rows) if t and t not in known]
    hashed, unlabelled = ([hasher.of_text(t) for t in texts] for texts in (texts_of(kept), others))
    labels = np.array([r["label"] for r in kept], float)
    print(len(kept), "labelled,", len(others), "unlabelled", flush=True)

    fifth = random.permutation(len(kept)) % 5 == 0
    pick = lambda of: [t for t, chosen in zip(hashed, of) if chosen]
    w, bias = train(pick(~fifth), labels[~fifth], unlabelled, random)
    read = lambda sets: scaled(matrix(sets)) @ w + bias
    unseen = pick(fifth)
    both = np.concatenate((read([distinct(t) for t in unseen]), read([beginning(t) for t in unseen])))
    scale, offset = calibration(both, np.tile(labels[fifth], 2))
    print(f"scale {scale:.3f}, offset {offset:.3f}", flush=True)
    w, bias = train(hashed, labels, unlabelled, random)
    w, bias = (scale * w).astype(np.float16), float(scale * bias + offset)

    write(args.pack / "judge", w, bias)
    held_hashed, held_labels = [hasher.of_text(t) for t in held_texts], np.array([r["label"] for r in held], float)
    odds = lambda sets: np.array([judged(s, w, bias) for s in sets])
    results = {"labelled": len(kept), "unlabelled": len(others),
               "whole": measured(odds([distinct(t) for t in held_hashed]), held_labels),
               "first 50 words": measured(odds([beginning(t) for t in held_hashed]), held_labels)}
    (pathlib.Path(__file__).parent / "judge_results.json").write_text(json.dumps(results, indent=1) + "\n")
    if args.golden:
        write_golden(args.golden, hasher, held_texts[0], w, bias)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
