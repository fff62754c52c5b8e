-- The library: two ordinary tables, books and loans, and one full-text index. Run by demo.sh in this folder.
CREATE TABLE books(book_id INTEGER PRIMARY KEY, title TEXT, author TEXT, year INTEGER, language TEXT, subjects TEXT,
                   description TEXT, available INTEGER, min_age INTEGER);
.mode csv
.import --skip 1 books.csv books
.mode list
.read loans.sql
CREATE VIRTUAL TABLE books_fts USING fts5(title, author, subjects, description, content=books, content_rowid=book_id,
                                          tokenize='porter unicode61');
INSERT INTO books_fts(books_fts) VALUES ('rebuild');
