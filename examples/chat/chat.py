#!/usr/bin/env python3
"""A chat with a model, in the terminal: chat.py database model [user] [path of the extension].

    make movielens && examples/chat/chat.py build/movielens.db reader 42

All that is decided is decided by llm_converse; this loop keeps the state, prints, and shows titles. A line that is empty
ends it; a number takes that option of the question. CHAT_TITLE is the query for an item's title, of the films unless set.
"""
import json
import os
import sqlite3
import sys


def connect(path, library):
    db = sqlite3.connect(path)
    db.enable_load_extension(True)
    db.load_extension(library)
    return db


def chat(db, model, user, lines):
    state, options = None, []
    title = os.environ.get("CHAT_TITLE", "SELECT title FROM movies WHERE movie_id = ?")
    for said in lines:
        said = said.strip()
        if state and not said:
            break
        if said.isdigit() and 0 < int(said) <= len(options):
            said = options[int(said) - 1]["value"]
        text, = db.execute("SELECT llm_converse(?, ?, ?, ?)",
                           (model, state, said, json.dumps({"user": user, "k": 5}))).fetchone()
        turn = json.loads(text)
        state, options = json.dumps(turn["state"]), turn["options"]
        print(f"\n{turn['reply']}")
        for n, item in enumerate(turn["items"], 1):
            name = db.execute(title, (item["item"],)).fetchone()
            print(f"  {n}. {name[0] if name else item['item']}\n       {item['reason']}")
        if turn["question"]:
            print(turn["question"])
            for n, option in enumerate(options, 1):
                print(f"  [{n}] {option['value']} ({option['count']})")
        print("> ", end="", flush=True)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    user = sys.argv[3] if len(sys.argv) > 3 else None
    here = os.path.dirname(os.path.abspath(__file__))
    library = sys.argv[4] if len(sys.argv) > 4 else os.path.join(here, "../../build/rec")
    db = connect(sys.argv[1], library)
    print("> ", end="", flush=True)
    chat(db, sys.argv[2], int(user) if user and user.isdigit() else user, sys.stdin)
    print()


if __name__ == "__main__":
    main()
