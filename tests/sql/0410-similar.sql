-- rec_similar: items like an item, by a model or by an index; rec_similar_users: users like a user.
.read tests/fixtures/films.sql
SELECT r.rank, f.title FROM rec_similar('about', 3, 3) AS r JOIN films AS f ON f.film_id = r.item ORDER BY r.rank;
SELECT '1 not itself', count(*) FROM rec_similar('about', 3) WHERE item = 3;
SELECT '2 scores', min(score) >= -1.001, max(score) <= 1.001 FROM rec_similar('about', 3);
SELECT '3 by what people like', sum(f.genres LIKE '%Sci-Fi%') >= 4 FROM rec_similar('taste', 28, 5) AS r JOIN films AS f ON f.film_id = r.item;
SELECT '4 hybrid', count(*) FROM rec_similar('both', 28, 5);
SELECT '5 symmetric', abs(rec_similarity('about', 1, 3) - rec_similarity('about', 3, 1)) < 1e-5,
       abs(rec_similarity('about', 3, 1) - (SELECT score FROM rec_similar('about', 3) WHERE item = 1)) < 1e-6;
SELECT '6 nothing', (SELECT count(*) FROM rec_similar('about', NULL)), (SELECT count(*) FROM rec_similar('about', 4711)),
       (SELECT count(*) FROM rec_similar('about', 3, 0)), rec_similar('about', NULL);
SELECT '7 scalar', json_array_length(rec_similar('about', 3)), json_array_length(rec_similar('about', 3, 2));
-- An index: the neighbours of the stored vector of that key.
CREATE VIRTUAL TABLE vec USING rec_index(film_id INTEGER PRIMARY KEY, v float32[2], metric=cosine);
INSERT INTO vec(film_id, v) VALUES (1, '[1,0]'), (2, '[0.9,0.1]'), (3, '[0,1]'), (4, '[-1,0]');
SELECT item, round(score, 3), rank FROM rec_similar('vec', 1);
SELECT '8 k', count(*) FROM rec_similar('main.vec', 1, 2);
SELECT '9 unknown key', count(*) FROM rec_similar('vec', 99);
CREATE VIRTUAL TABLE flat USING rec_index(v float32[2], metric=l2);
INSERT INTO flat(rowid, v) VALUES (10, '[0,0]'), (20, '[3,4]'), (30, '[0,1]');
SELECT item, round(score, 3), rank FROM rec_similar('flat', 10);
-- Users: by what they did. The nearest of a reader of science fiction is another one.
SELECT '10 alike', count(*), min(user) >= 17 FROM rec_similar_users('taste', 18, 5);
SELECT '11 not oneself', count(*) FROM rec_similar_users('taste', 18) WHERE user = 18;
SELECT '12 explicit', sum(user >= 17) >= 3 FROM rec_similar_users('about', 18, 4);
SELECT '13 hybrid', (SELECT group_concat(user) FROM rec_similar_users('both', 18, 5)) = (SELECT group_concat(user) FROM rec_similar_users('taste', 18, 5));
SELECT '14 ranks', group_concat(rank) FROM (SELECT rank FROM rec_similar_users('taste', 18, 4) ORDER BY rank);
SELECT '15 unknown', (SELECT count(*) FROM rec_similar_users('taste', 4711)), (SELECT count(*) FROM rec_similar_users('taste', NULL));
