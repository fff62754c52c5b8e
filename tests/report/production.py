#!/usr/bin/env python3
"""sql/production.sql with one stage left out at a time: production.py database library [users].

Each reader has one liked film taken out of the ratings before training, and asks for it in a sentence made of its record
(a genre, the decade, two rare words of its overview; never the title). Hit: the film is among the ten.
"""
import pathlib
import random
import re
import sys

from converse import SEED, connect, prepare


def sentences(db, targets, rng):
    """A sentence for each target, from its record."""
    count = {}
    for overview, in db.execute("SELECT overview FROM movies WHERE overview IS NOT NULL"):
        for word in set(re.findall(r"[a-z]{4,}", overview.lower())):
            count[word] = count.get(word, 0) + 1
    for user, film in targets:
        title, genres, year, overview = db.execute("SELECT title, genres, year, overview FROM movies WHERE movie_id = ?", (film,)).fetchone()
        words = [w for w in set(re.findall(r"[a-z]{4,}", overview.lower())) if count[w] > 4 and w not in title.lower()]
        words = sorted(words, key=lambda w: (count[w], w))[:6]
        genre = rng.choice((genres or "film").split("|")).lower()
        yield user, film, f"a {genre} film from the {year // 10 * 10}s about {' and '.join(rng.sample(words, min(2, len(words))))}"


def main():
    path, library = sys.argv[1:3]
    n_users = int(sys.argv[3]) if len(sys.argv) > 3 else 100
    rng = random.Random(SEED)
    db = connect(path, library)
    query = pathlib.Path(__file__).parents[2].joinpath("sql/production.sql").read_text()
    tasks = list(sentences(db, prepare(db, n_users, "tmdb", rng), rng))
    for without in (None, "A", "B", "C", "D"):
        ranks = []
        for user, film, sentence in tasks:
            rows = db.execute(query, {"user": user, "sentence": sentence, "without": without}).fetchall()
            ranks += [r[0] for r in rows if r[1] == film] or [None]
        hits = [r for r in ranks if r]
        print(f"without {without or '-'}   n={len(ranks)}  hit@10 {len(hits) / len(ranks):.3f}  MRR {sum(1 / r for r in hits) / len(ranks):.3f}")


if __name__ == "__main__":
    main()
