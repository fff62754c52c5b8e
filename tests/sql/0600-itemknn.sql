-- algorithm=itemknn: neighbours by co-occurrence. Cosines of a table that one can compute by hand.
CREATE TABLE plays(user INTEGER, item TEXT, n INTEGER, stars REAL);
INSERT INTO plays VALUES (1,'a',1,5), (1,'b',1,4), (2,'a',1,5), (2,'b',1,5), (2,'c',1,4), (3,'b',1,2), (3,'c',1,1), (4,'a',1,4), (4,'d',1,5);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=itemknn, similarity=cosine, shrinkage=0, interactions=plays);
SELECT rec_train('m') ->> 'interactions';
-- a.b = 2 / (sqrt 3 sqrt 3), a.c = 1 / (sqrt 3 sqrt 2), a.d = 1 / sqrt 3
SELECT item, round(score, 3) FROM rec_similar('m', 'a');
-- user 1 has a and b: c = .408 + .816, d = .577
SELECT item, round(score, 3) FROM rec_recommend('m', 1, 5);
SELECT kind, key, round(weight, 3) FROM rec_explain('m', 1, 'c') ORDER BY weight DESC;
-- somebody who is in no table; a click of a moment ago
SELECT item, round(score, 3) FROM m WHERE history = '["d"]' AND seen = 0 AND k = 2;
INSERT INTO plays VALUES (9,'d',1,5);
SELECT item, round(score, 3) FROM rec_recommend('m', 9, 1);
DELETE FROM plays WHERE user = 9;
-- k keeps the nearest; shrinkage takes from those that few people support
INSERT INTO m(m) VALUES ('k=1');
SELECT rec_train('m') ->> 'items';
SELECT item, round(score, 3) FROM rec_similar('m', 'a') WHERE score > 0;
INSERT INTO m(m) VALUES ('k=10'), ('shrinkage=1');
SELECT rec_train('m') ->> 'items';
SELECT item, round(score, 3) FROM rec_similar('m', 'a');
-- every similarity; those that are no cosines are relative to the nearest
CREATE VIRTUAL TABLE general USING rec_model(algorithm=itemknn, interactions=plays);
CREATE VIRTUAL TABLE walk USING rec_model(algorithm=itemknn, similarity=rp3beta, alpha=1, beta=0, interactions=plays);
CREATE VIRTUAL TABLE idf USING rec_model(algorithm=itemknn, similarity=tfidf, interactions=plays);
CREATE VIRTUAL TABLE okapi USING rec_model(algorithm=itemknn, similarity=bm25, interactions=plays);
SELECT count(rec_train('general')), count(rec_train('walk')), count(rec_train('idf')), count(rec_train('okapi'));
-- a -> user -> item: 1/3 (1/2 + 1/3) to b, 1/9 to c, 1/6 to d
SELECT item, round(score, 3) FROM rec_recommend('walk', 4, 5);
SELECT 'general', group_concat(item || ' ' || round(score, 3), ', ') FROM rec_similar('general', 'a');
SELECT 'tfidf', group_concat(item || ' ' || round(score, 3), ', ') FROM rec_similar('idf', 'b');
SELECT 'bm25', group_concat(item || ' ' || round(score, 3), ', ') FROM rec_similar('okapi', 'b');
-- ratings: the bias plus what the neighbours say
CREATE VIRTUAL TABLE stars USING rec_model(algorithm=itemknn, interactions=plays, value=stars, feedback=explicit, shrinkage=0);
SELECT rec_train('stars') ->> 'interactions';
SELECT item, round(score, 2) FROM rec_recommend('stars', 1, 5);
SELECT kind, key, round(weight, 2) FROM rec_explain('stars', 3, 'a') ORDER BY weight DESC;
-- checks, and what is refused
INSERT INTO m(m) VALUES ('integrity-check');
INSERT INTO stars(stars) VALUES ('integrity-check');
CREATE VIRTUAL TABLE no USING rec_model(algorithm=itemknn, similarity=jaccard, interactions=plays);
CREATE VIRTUAL TABLE no USING rec_model(algorithm=itemknn, k=0, interactions=plays);
-- one user; one item; nobody
DELETE FROM plays WHERE user <> 2;
SELECT rec_train('m') ->> 'users';
SELECT count(*) FROM rec_recommend('m', 2, 5);
DELETE FROM plays WHERE item <> 'a';
SELECT rec_train('m') ->> 'items';
SELECT count(*) FROM rec_similar('m', 'a');
DELETE FROM plays;
SELECT rec_train('m');
