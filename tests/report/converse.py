#!/usr/bin/env python3
"""Simulated readers talk to llm_converse: does it find the film that they have in mind?

converse.py database library [users [wrong [pool]]]: a MovieLens database without models (converse.sh makes one).
Each reader rated at least 30 films; one that they rated 4.5 or more is taken out of the ratings before training. The
reader opens vaguely, answers questions truthfully from that film's record (never its title), rejects what is not it
and stops after 8 turns. `wrong` is the share of answers that are another film's. pool: tmdb (targets with a TMDB
record), all, tail (under 20 ratings). The baseline never asks: ten new films each turn, in the order of the model.
"""
import json
import random
import re
import sqlite3
import statistics
import sys
import time

TURNS, K, SEED = 8, 10, 7
OPENINGS = ["hello", "I want to watch something", "can you recommend a film?", "hi, something good for tonight please"]


def connect(path, library):
    db = sqlite3.connect(path)
    db.enable_load_extension(True)
    db.load_extension(library)
    return db


def prepare(db, n_users, pool, rng):
    """Take one liked film from each of n_users readers; train on the rest. Returns [(user, film)]."""
    where = {"tmdb": "m.overview IS NOT NULL", "all": "1",
             "tail": "(SELECT count(*) FROM ratings t WHERE t.movie_id = m.movie_id) < 20"}[pool]
    liked = {}
    for user, film in db.execute(
            f"""SELECT r.user_id, r.movie_id FROM ratings r JOIN movies m USING (movie_id)
                WHERE r.rating >= 4.5 AND m.in_stock = 1 AND {where} AND r.user_id IN
                  (SELECT user_id FROM ratings GROUP BY user_id HAVING count(*) >= 30) ORDER BY 1, 2"""):
        liked.setdefault(user, []).append(film)
    users = sorted(liked)
    rng.shuffle(users)
    targets = [(u, rng.choice(liked[u])) for u in users[:n_users]]
    db.executemany("DELETE FROM ratings WHERE user_id = ? AND movie_id = ?", targets)
    db.commit()
    for model in "taste", "about", "reader":
        db.execute("SELECT rec_train(?, '{\"full\": true}')", (model,)).fetchall()  # nothing of the old one
    db.commit()
    return targets


def stem(word):
    return re.sub(r"(ing|ed|es|s|e|y|ies)$", "", word.lower())


class Reader:
    """Knows the record of one film and answers from it."""

    def __init__(self, db, film, rng, wrong):
        self.db, self.rng, self.wrong = db, rng, wrong
        self.record = self.read(film)

    def read(self, film):
        cursor = self.db.execute("SELECT year, genres, language, runtime, overview, tags FROM movies WHERE movie_id = ?", (film,))
        return dict(zip([c[0] for c in cursor.description], cursor.fetchone()))

    def answer(self, turn):
        record = self.record
        if self.rng.random() < self.wrong:
            other, = self.db.execute("SELECT movie_id FROM movies WHERE overview IS NOT NULL ORDER BY movie_id LIMIT 1 OFFSET ?",
                                     (self.rng.randrange(3000),)).fetchone()
            record = self.read(other)
        values = [o["value"] for o in turn["options"]]
        if turn["facet"] in record:
            fact = record[turn["facet"]]
            if fact is None:
                return "I don't know."
            if turn["facet"] == "genres":
                named = fact.split("|")[:3]
                return "Not those. " + " and ".join(named) + "."
            if isinstance(fact, int):
                for value in values:
                    n = [int(x) for x in re.findall(r"\d+", value)]
                    low = n[0] if not value.startswith("up") else 0
                    high = n[-1] if not value.startswith("from") else 10**6
                    if low <= fact <= high:
                        return f"None of those. {value}."
                return f"None of those. {fact}."
            return f"None of those. {fact}."
        words = {stem(w) for w in re.findall(r"\w+", (record["overview"] or "") + " " + (record["tags"] or ""))}
        fitting = [v for v in values if stem(v) in words]
        if not record["overview"] and not record["tags"]:
            return "I don't know."
        return "Not those. " + (" and ".join(fitting) + "." if fitting else "None of these words.")


def talk(db, user, film, rng, wrong, log=None):
    """Turns until the film is shown, TURNS + 1 if it never was; counts of broken rules; seconds of each turn."""
    reader, state, said = Reader(db, film, rng, wrong), None, rng.choice(OPENINGS)
    shown, questions, broken, seconds, found = set(), set(), [0, 0, 0], [], TURNS + 1
    for n in range(1, TURNS + 1):
        start = time.perf_counter()
        text, = db.execute("SELECT llm_converse('reader', ?, ?, ?)",
                           (state, said, json.dumps({"user": user, "k": K}))).fetchone()
        seconds.append(time.perf_counter() - start)
        turn = json.loads(text)
        state = json.dumps(turn["state"])
        items = [i["item"] for i in turn["items"]]
        broken[0] += len(shown & set(items))
        broken[1] += turn["question"] in questions and turn["question"] is not None
        shown |= set(items)
        questions.add(turn["question"])
        if log is not None:
            log.append((said, turn["question"], film in items))
        if film in items:
            found = n
            break
        said = reader.answer(turn) if turn["question"] else "None of these."
    for item in shown:
        broken[2] += db.execute("SELECT count(*) FROM movies WHERE movie_id = ?", (item,)).fetchone()[0] != 1
        broken[2] += db.execute("SELECT count(*) FROM ratings WHERE user_id = ? AND movie_id = ?", (user, item)).fetchone()[0]
    return found, broken, seconds


def never_ask(db, user, film):
    row = db.execute("SELECT rank FROM rec_hybrid('reader', ?, NULL, ?) WHERE item = ?", (user, TURNS * K, film)).fetchone()
    return (row[0] - 1) // K + 1 if row else TURNS + 1


def report(name, found):
    by = [sum(f <= t for f in found) / len(found) for t in (1, 3, 5, 8)]
    mean = statistics.mean(min(f, TURNS) for f in found)
    print(f"{name:28} n={len(found)} @1 {by[0]:.3f}  @3 {by[1]:.3f}  @5 {by[2]:.3f}  @8 {by[3]:.3f}  mean turns {mean:.2f}")


def main():
    path, library = sys.argv[1:3]
    n_users = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    wrong = float(sys.argv[4]) if len(sys.argv) > 4 else 0.0
    pool = sys.argv[5] if len(sys.argv) > 5 else "tmdb"
    rng = random.Random(SEED)
    db = connect(path, library)
    targets = prepare(db, n_users, pool, rng)
    found, seconds, broken = [], [], [0, 0, 0]
    for user, film in targets:
        n, b, s = talk(db, user, film, rng, wrong)
        found.append(n)
        seconds += s
        broken = [x + y for x, y in zip(broken, b)]
    report(f"asks, {pool}, wrong {wrong:.0%}", found)
    report("never asks", [never_ask(db, u, f) for u, f in targets])
    print(f"shown again {broken[0]}, asked again {broken[1]}, outside {broken[2]}; "
          f"one turn p50 {statistics.median(seconds) * 1000:.1f} ms")


if __name__ == "__main__":
    main()
