-- These loans are simulated: a reader borrows the books with the highest sum of taste match, popularity and hashed chance, and rates a book higher the better it matches.
--
-- Needs a table books(book_id INTEGER PRIMARY KEY, title, author, year, language,
-- subjects, description, available, min_age) filled from books.csv.
-- Makes two tables: readers and loans. No reader in it is a real person.
--
-- There is no random() here: every "chance" is whole-number arithmetic on ids
-- (multiply, cut to 32 bits, fold the high half into the low half, multiply
-- again), so each run on the same books gives the same loans.
-- SQLite has no xor operator; (a | b) - (a & b) is the same thing.

BEGIN;

DROP TABLE IF EXISTS loans;
DROP TABLE IF EXISTS readers;

-- 1. One row per book and subject, split from the '|' separated list. -------

CREATE TEMP TABLE book_subject AS
WITH RECURSIVE split(book_id, subject, rest) AS (
  SELECT book_id, NULL, subjects || '|' FROM main.books
  UNION ALL
  SELECT book_id,
         substr(rest, 1, instr(rest, '|') - 1),
         substr(rest, instr(rest, '|') + 1)
  FROM split WHERE rest <> ''
)
SELECT book_id, subject FROM split WHERE subject IS NOT NULL;

CREATE INDEX temp.book_subject_s ON book_subject(subject, book_id);

-- 2. Popularity of a book: 0..30 points, most books near 0, a few near 30. --
--    quality: what every reader adds to the rating or takes from it, -0.45..1.05;
--    popular books are liked a little better.

CREATE TEMP TABLE book_appeal AS
WITH h1 AS (SELECT book_id, (book_id * 104729 + 12345) * 2654435761 % 4294967296 AS h FROM main.books),
     h2 AS (SELECT book_id, ((h | (h >> 16)) - (h & (h >> 16))) * 1540483477 % 4294967296 AS h FROM h1),
     u  AS (SELECT book_id, (h >> 16) / 65536.0 AS u1, (h & 65535) / 65536.0 AS u2 FROM h2)
SELECT book_id,
       30.0 * u1 * u1 * u1 * u1 AS popularity,
       u2 - 0.45 + u1 * u1 * u1 * u1 / 2 AS quality,
       min_age,
       subjects LIKE '%Children''s literature%' AS for_children
FROM u JOIN main.books USING (book_id);

-- 3. Circles of taste: three subjects that tend to be liked together. -------

CREATE TEMP TABLE circle(circle INTEGER, place INTEGER, subject TEXT, PRIMARY KEY(circle, place));
INSERT INTO circle VALUES
  ( 0,0,'Detective fiction'),      ( 0,1,'Crime'),            ( 0,2,'Spy fiction'),
  ( 1,0,'Gothic'),                 ( 1,1,'Horror'),           ( 1,2,'Ghost stories'),
  ( 2,0,'Science fiction'),        ( 2,1,'Utopia'),           ( 2,2,'Fantasy'),
  ( 3,0,'Adventure'),              ( 3,1,'Sea stories'),      ( 3,2,'Western'),
  ( 4,0,'Children''s literature'), ( 4,1,'Fairy tales'),      ( 4,2,'Animal stories'),
  ( 5,0,'Romance'),                ( 5,1,'Marriage'),         ( 5,2,'Women''s lives'),
  ( 6,0,'Social criticism'),       ( 6,1,'Family saga'),      ( 6,2,'City life'),
  ( 7,0,'Psychological fiction'),  ( 7,1,'Modernism'),        ( 7,2,'Tragedy'),
  ( 8,0,'Philosophy'),             ( 8,1,'Ethics'),           ( 8,2,'Religion'),
  ( 9,0,'Politics'),               ( 9,1,'Economics'),        ( 9,2,'History'),
  (10,0,'Science'),                (10,1,'Natural history'),  (10,2,'Mathematics'),
  (11,0,'Travel'),                 (11,1,'Exploration'),      (11,2,'Autobiography'),
  (12,0,'Drama'),                  (12,1,'Comedy'),           (12,2,'Satire'),
  (13,0,'Poetry'),                 (13,1,'Epic'),             (13,2,'Mythology'),
  (14,0,'Cooking'),                (14,1,'Country life'),     (14,2,'Humour'),
  (15,0,'War'),                    (15,1,'Historical fiction'),(15,2,'Biography');

-- 4. 300 readers: 75 first names with four initials each. -------------------

CREATE TEMP TABLE first_name(n INTEGER PRIMARY KEY, name TEXT);
INSERT INTO first_name(name) VALUES
  ('Abel'),('Adela'),('Agnes'),('Alma'),('Amir'),('Anouk'),('Anton'),('Arvid'),('Asha'),('Astrid'),
  ('Aurel'),('Bela'),('Bruno'),('Calla'),('Carmen'),('Cecil'),('Celia'),('Clara'),('Dalia'),('Dario'),
  ('Dorit'),('Edda'),('Edgar'),('Elif'),('Elin'),('Emil'),('Enzo'),('Esther'),('Fadil'),('Fanny'),
  ('Farid'),('Felix'),('Flora'),('Freya'),('Gita'),('Greta'),('Hana'),('Hedda'),('Hugo'),('Ida'),
  ('Ilka'),('Imre'),('Ines'),('Iris'),('Ivo'),('Jana'),('Jonas'),('Kaja'),('Kasim'),('Kenji'),
  ('Lara'),('Leif'),('Leonie'),('Lina'),('Livia'),('Luca'),('Mabel'),('Malik'),('Marta'),('Mira'),
  ('Nadia'),('Nils'),('Noor'),('Olga'),('Oskar'),('Petra'),('Quentin'),('Rafael'),('Rosa'),('Selma'),
  ('Silas'),('Tamar'),('Tilda'),('Viktor'),('Yusuf');

CREATE TABLE readers(
  reader_id INTEGER PRIMARY KEY,
  name      TEXT NOT NULL,
  age       INTEGER NOT NULL CHECK (age BETWEEN 9 AND 85)
);

-- Four hashed numbers of 16 bits for each reader (d1..d4).
CREATE TEMP TABLE reader_dice AS
WITH RECURSIVE r(reader_id) AS (SELECT 1 UNION ALL SELECT reader_id + 1 FROM r WHERE reader_id < 300),
     h1 AS (SELECT reader_id, (reader_id * 7919 + 12345) * 2654435761 % 4294967296 AS h FROM r),
     h2 AS (SELECT reader_id, ((h | (h >> 16)) - (h & (h >> 16))) * 1540483477 % 4294967296 AS h FROM h1),
     h3 AS (SELECT reader_id, h, ((h | (h >> 15)) - (h & (h >> 15))) * 1103515245 % 4294967296 AS g FROM h2)
SELECT reader_id, h >> 16 AS d1, h & 65535 AS d2, g >> 16 AS d3, g & 65535 AS d4 FROM h3;

-- One reader in eight is a child or teenager of 9..16, the others are 17..85.
INSERT INTO readers(reader_id, name, age)
SELECT d.reader_id,
       f.name || ' ' || substr('KMRT', 1 + (d.reader_id - 1) / 75, 1) || '.',
       CASE WHEN d.reader_id % 8 = 3 THEN 9 + d1 % 8 ELSE 17 + d1 % 69 END
FROM reader_dice d
JOIN first_name f ON f.n = 1 + (d.reader_id * 31) % 75
ORDER BY d.reader_id;

-- 5. How many loans: 15..40; eight readers have 1..3, two have none at all. -
--    The circle of a grown-up is any of the sixteen; a child under 13 is in
--    circle 2, 3 or 4, a teenager under 17 in one of the first six.

CREATE TEMP TABLE plan AS
SELECT r.reader_id, r.age,
       CASE WHEN r.reader_id IN (111, 222)   THEN 0
            WHEN r.reader_id % 40 = 17       THEN 1 + d2 % 3
            ELSE 15 + d2 % 26 END                      AS n_loans,
       CASE WHEN r.age < 13 THEN 2 + d3 % 3
            WHEN r.age < 17 THEN d3 % 6
            ELSE d3 % 16 END                           AS circle,
       d4                                              AS d
FROM readers r JOIN reader_dice USING (reader_id);

-- 6. Favourite subjects of a reader, with the points each is worth. ---------

CREATE TEMP TABLE favourite(reader_id INTEGER, subject TEXT, points INTEGER, PRIMARY KEY(reader_id, subject));

-- first favourite: one subject of the circle
INSERT INTO favourite
SELECT p.reader_id, c.subject, 30
FROM plan p JOIN circle c ON c.circle = p.circle AND c.place = p.d % 3;

-- second favourite, for five readers in six: the next subject of the circle
INSERT INTO favourite
SELECT p.reader_id, c.subject, 20
FROM plan p JOIN circle c ON c.circle = p.circle AND c.place = (p.d + 1) % 3
WHERE p.d / 3 % 6 <> 0;

-- third favourite, for every other reader: any subject of the catalogue
INSERT OR IGNORE INTO favourite
SELECT p.reader_id, s.subject, 12
FROM plan p
JOIN (SELECT subject, row_number() OVER (ORDER BY subject) - 1 AS n, count(*) OVER () AS total
      FROM (SELECT DISTINCT subject FROM book_subject)) s
  ON s.n = (p.d / 7 + p.reader_id) % s.total
WHERE p.d / 18 % 2 = 0;

-- 7. A favourite author for two readers in five: somebody with three or more
--    books in the catalogue, one of them on the reader's first subject.

CREATE TEMP TABLE favourite_author AS
WITH known AS (
  SELECT author FROM main.books WHERE author <> 'Anonymous' GROUP BY author HAVING count(*) >= 3
), choice AS (
  SELECT DISTINCT f.reader_id, b.author
  FROM favourite f
  JOIN book_subject s ON s.subject = f.subject
  JOIN main.books b   ON b.book_id = s.book_id
  JOIN known k        ON k.author = b.author
  JOIN plan p         ON p.reader_id = f.reader_id AND b.min_age <= p.age
  WHERE f.points = 30 AND p.d / 36 % 5 < 2
), ranked AS (
  SELECT reader_id, author,
         row_number() OVER (PARTITION BY reader_id ORDER BY author) - 1 AS n,
         count(*)     OVER (PARTITION BY reader_id)                     AS total
  FROM choice
)
SELECT k.reader_id, k.author
FROM ranked k JOIN plan p USING (reader_id)
WHERE k.n = p.d / 180 % k.total;

-- 8. Taste points of every reader for every book that matches at all. -------

CREATE TEMP TABLE taste(reader_id INTEGER, book_id INTEGER, points INTEGER, PRIMARY KEY(reader_id, book_id)) WITHOUT ROWID;
INSERT INTO taste
SELECT reader_id, book_id, sum(points)
FROM (SELECT f.reader_id, s.book_id, f.points
      FROM favourite f JOIN book_subject s ON s.subject = f.subject
      UNION ALL
      SELECT a.reader_id, b.book_id, 25
      FROM favourite_author a JOIN main.books b ON b.author = a.author)
GROUP BY reader_id, book_id;

-- 9. The loans. Each reader takes the n_loans books of highest score among
--    those allowed at the reader's age:
--      score  = taste + popularity + chance (0..40)
--               + 15 for a children's book and a child under 13
--               - 12 for a children's book and a grown-up who does not like them
--               - 18 for a book for 12 or more that means nothing to a reader under 17
--      rating = 2.2 + taste / 25 + quality of the book + chance (-0.9..+0.9),
--               rounded, held within 1..5
--      loaned_at: a day of 2021..2023, between 9 and 18 o'clock (UTC).

CREATE TABLE loans(
  reader_id INTEGER NOT NULL REFERENCES readers(reader_id),
  book_id   INTEGER NOT NULL REFERENCES books(book_id),
  rating    INTEGER NOT NULL CHECK (rating BETWEEN 1 AND 5),
  loaned_at INTEGER NOT NULL,
  PRIMARY KEY (reader_id, book_id)      -- also serves look-ups by reader_id
);

INSERT INTO loans(reader_id, book_id, rating, loaned_at)
WITH pair AS MATERIALIZED (             -- every reader with every book allowed
  SELECT p.reader_id, a.book_id, p.n_loans,
         coalesce(t.points, 0) AS points,
         coalesce(t.points, 0) + a.popularity
           + CASE WHEN a.for_children AND p.age < 13                                  THEN 15
                  WHEN a.for_children AND p.age >= 17 AND coalesce(t.points, 0) < 20  THEN -12
                  WHEN a.min_age >= 12 AND p.age < 17 AND t.points IS NULL            THEN -18
                  ELSE 0 END   AS wish,
         a.quality,
         (p.reader_id * 7919 + a.book_id * 104729 + 12345) * 2654435761 % 4294967296 AS h
  FROM plan p
  JOIN book_appeal a ON a.min_age <= p.age
  LEFT JOIN taste t  ON t.reader_id = p.reader_id AND t.book_id = a.book_id
  WHERE p.n_loans > 0
), mixed AS MATERIALIZED (              -- the hash once more, for the chance
  SELECT reader_id, book_id, n_loans, points, wish, quality,
         ((h | (h >> 16)) - (h & (h >> 16))) * 1540483477 % 4294967296 AS h2
  FROM pair
), ranked AS (
  SELECT reader_id, book_id, n_loans, points, quality, h2,
         row_number() OVER (PARTITION BY reader_id
                            ORDER BY wish + 40.0 * (h2 >> 16) / 65536 DESC, book_id) AS place
  FROM mixed
), chosen AS MATERIALIZED (             -- the best n_loans, and a fresh hash
  SELECT reader_id, book_id, points, quality, h2,
         ((h2 | (h2 >> 15)) - (h2 & (h2 >> 15))) * 1103515245 % 4294967296 AS h3
  FROM ranked
  WHERE place <= n_loans
)
SELECT reader_id, book_id,
       max(1, min(5, CAST(round(2.2 + points / 25.0 + quality + 1.8 * (h3 >> 16) / 65536 - 0.9) AS INTEGER))),
       1609459200                            -- 2021-01-01 00:00:00 UTC
         + 86400 * ((h3 >> 8) % 1095)        -- 1095 days in the three years
         + 32400 + h2 % 32400                -- 9 o'clock plus up to nine hours
FROM chosen
ORDER BY reader_id, book_id;

CREATE INDEX loans_by_book ON loans(book_id);

-- 10. Drop the helper tables. -----------------------------------------------

DROP TABLE temp.taste;
DROP TABLE temp.favourite_author;
DROP TABLE temp.favourite;
DROP TABLE temp.plan;
DROP TABLE temp.reader_dice;
DROP TABLE temp.first_name;
DROP TABLE temp.circle;
DROP TABLE temp.book_appeal;
DROP TABLE temp.book_subject;

COMMIT;
