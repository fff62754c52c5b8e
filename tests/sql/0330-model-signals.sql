-- rec_model: what a row of the interactions means. Popularity shows it plainly: implicit scores are the sum of
-- the weights of an item over the number of users.
CREATE TABLE log(user_id INTEGER, item_id TEXT, kind TEXT, amount, at);
INSERT INTO log VALUES
 (1,'a','buy',1,'2024-01-01'), (1,'a','view',1,'2024-01-02'), (1,'b','click',2,'2024-01-03'),
 (2,'a','view',3,'2024-01-31'), (2,'b','skip',1,'2024-01-31 12:00:00'), (2,'c','play',2,'2024-01-31T12:00:00Z');
CREATE VIRTUAL TABLE e USING rec_model(algorithm=popularity, interactions=log, user=user_id, item=item_id, event=kind,
  weights='view:.1, click:.3, play:1, buy:3, skip:-.5');
SELECT rec_train('e') ->> 'interactions';
SELECT item, round(score, 3) FROM e WHERE user = 9;
-- value= multiplies the weight of the event
CREATE VIRTUAL TABLE ev USING rec_model(algorithm=popularity, interactions=log, user=user_id, item=item_id, event=kind, value=amount,
  feedback=implicit, weights='view:.1, click:.3, play:1, buy:3, skip:-.5');
SELECT rec_train('ev') ->> 'interactions';
SELECT item, round(score, 3) FROM ev WHERE user = 9;
-- a kind that weights= does not list is an error that names it
CREATE VIRTUAL TABLE eu USING rec_model(algorithm=popularity, interactions=log, user=user_id, item=item_id, event=kind, weights='view:.1, buy:3');
SELECT rec_train('eu');
-- duplicates: sum (implicit), last, max
CREATE VIRTUAL TABLE d1 USING rec_model(algorithm=popularity, interactions=log, user=user_id, item=item_id, event=kind, time=at, duplicates=last,
  weights='view:.1, click:.3, play:1, buy:3, skip:-.5');
CREATE VIRTUAL TABLE d2 USING rec_model(algorithm=popularity, interactions=log, user=user_id, item=item_id, event=kind, time=at, duplicates=max,
  weights='view:.1, click:.3, play:1, buy:3, skip:-.5');
SELECT count(rec_train('d1')), count(rec_train('d2'));
SELECT 'last', round(score, 3) FROM d1 WHERE user = 9 AND item = 'a' UNION ALL SELECT 'max', round(score, 3) FROM d2 WHERE user = 9 AND item = 'a';
-- time: text, and the same moments as seconds and milliseconds, give the same half-life; now is the newest row
CREATE VIEW seconds AS SELECT user_id, item_id, kind, unixepoch(at) AS at FROM log;
CREATE VIEW millis AS SELECT user_id, item_id, kind, unixepoch(at) * 1000 AS at FROM log;
CREATE VIRTUAL TABLE h1 USING rec_model(algorithm=popularity, interactions=log, user=user_id, item=item_id, time=at, half_life='15 days');
CREATE VIRTUAL TABLE h2 USING rec_model(algorithm=popularity, interactions=seconds, user=user_id, item=item_id, time=at, half_life='15 days');
CREATE VIRTUAL TABLE h3 USING rec_model(algorithm=popularity, interactions=millis, user=user_id, item=item_id, time=at, half_life='360 hours');
SELECT count(rec_train('h1')), count(rec_train('h2')), count(rec_train('h3'));
SELECT h1.item, round(h1.score, 3), round(h2.score, 3), round(h3.score, 3) FROM h1 JOIN h2 ON h2.item = h1.item JOIN h3 ON h3.item = h1.item
 WHERE h1.user = 9 AND h2.user = 9 AND h3.user = 9 ORDER BY h1.item;
-- windows: both ends count
CREATE VIRTUAL TABLE w1 USING rec_model(algorithm=popularity, interactions=log, user=user_id, item=item_id, time=at, since='2024-01-03');
CREATE VIRTUAL TABLE w2 USING rec_model(algorithm=popularity, interactions=log, user=user_id, item=item_id, time=at, since='2024-01-02', until='2024-01-03');
CREATE VIRTUAL TABLE w3 USING rec_model(algorithm=popularity, interactions=log, user=user_id, item=item_id, time=at, until='2020-01-01');
SELECT rec_train('w1') ->> 'interactions';
SELECT rec_train('w2') ->> 'interactions';
SELECT rec_train('w3') ->> 'interactions';
-- what lies outside the window is still seen
SELECT user, item FROM w3 WHERE seen = 1 ORDER BY user, item;
-- positive: only what is liked counts, the rest is seen
CREATE VIRTUAL TABLE p USING rec_model(algorithm=popularity, interactions=log, user=user_id, item=item_id, positive='kind IN (''buy'', ''play'') AND amount >= 1');
SELECT rec_train('p') ->> 'interactions';
SELECT user, item, seen, round(score, 2) FROM p WHERE user = 1 ORDER BY item;
-- explicit: a damped mean of the ratings, the last one of a pair counts; without a rating the row does not
CREATE TABLE stars(user_id INTEGER, item_id TEXT, stars REAL);
INSERT INTO stars VALUES (1,'a',1), (1,'a',5), (2,'a',5), (3,'a',5), (1,'b',2), (2,'b',1), (3,'b',NULL), (3,'c',4);
CREATE VIRTUAL TABLE x USING rec_model(algorithm=popularity, interactions=stars, user=user_id, item=item_id, value=stars, feedback=explicit);
SELECT rec_train('x') ->> 'interactions';
SELECT item FROM x WHERE user = 9 ORDER BY score DESC;
SELECT item FROM x WHERE user = 3 AND seen = 1 ORDER BY item;
-- implicit strength
CREATE VIRTUAL TABLE s USING rec_model(algorithm=popularity, interactions=stars, user=user_id, item=item_id, value=stars, feedback=implicit);
SELECT rec_train('s') ->> 'interactions';
SELECT item, round(score, 3) FROM s WHERE user = 9;
-- times that are none are counted: they fall out of every window and do not decay
CREATE TABLE dated(user_id INTEGER, item_id TEXT, at);
INSERT INTO dated VALUES (1,'a','2024-01-01'), (1,'b','01/05/2024'), (2,'a',NULL), (2,'b',1704067200), (NULL,'a','soon');
CREATE VIRTUAL TABLE d USING rec_model(algorithm=popularity, interactions=dated, user=user_id, item=item_id, time=at, since='2024-01-01');
SELECT r ->> 'interactions', r ->> 'skipped', r ->> 'undated' FROM (SELECT rec_train('d') AS r);
UPDATE dated SET at = '2024-01-05';
SELECT r ->> 'interactions', r ->> 'skipped', r ->> 'undated' FROM (SELECT rec_train('d') AS r);
