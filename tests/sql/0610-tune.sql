-- rec_tune: a row per trial, the winner as a CREATE statement; nothing is written.
CREATE TABLE ratings(user INT, item INT, stars REAL, at INT);
INSERT INTO ratings
  WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 399)
  SELECT i / 10, (i * 7 + i / 10) % 25, 1 + (i * 7 + i / 10) % 25 % 5, i FROM n;
CREATE VIRTUAL TABLE stars USING rec_model(algorithm=popularity, interactions=ratings, user=user, item=item, value=stars, feedback=explicit, time=at);
CREATE VIRTUAL TABLE taste USING rec_model(algorithm=als, factors=4, epochs=2, interactions=ratings, user=user, item=item, positive='stars >= 3');
CREATE VIRTUAL TABLE charts USING rec_model(algorithm=popularity, interactions=ratings, user=user, item=item);
CREATE VIRTUAL TABLE both USING rec_model(algorithm=hybrid, a=taste, b=charts);

.print -- every item has one rating, so the less prior the better
SELECT trial, options, metric, k, round(value, 2), rung, users, status FROM rec_tune('stars', '{"trials": 4, "seed": 3}');
SELECT count(*), count(DISTINCT options), sum(status = 'best'), sum(status = 'create'), max(value) = max(value) FILTER (WHERE status = 'create')
  FROM rec_tune('taste', '{"trials": 5, "metric": "recall@5"}');
SELECT options LIKE 'CREATE VIRTUAL TABLE "taste" USING rec_model(algorithm=als, factors=%, epochs=2, interactions=ratings, user=user, item=item, positive=''stars >= 3''%)'
  FROM rec_tune('taste', '{"trials": 3, "space": {"factors": "2|3"}}') WHERE status = 'create';
SELECT group_concat(options, ';') FROM (SELECT options FROM rec_tune('taste', '{"trials": 4, "space": {"lambda": "log .001 1", "factors": "2|8"}, "seed": 9}') WHERE trial > 0);

.print -- what a command has set is where the search starts
INSERT INTO stars(stars) VALUES ('prior=77');
SELECT options FROM rec_tune('stars', '{"trials": 1}');
SELECT count(*) FROM stars_data;

.print -- a trial that cannot be, and no time at all
SELECT trial, options, status FROM rec_tune('taste', '{"trials": 3, "space": {"factors": "0"}}') WHERE trial > 0;
SELECT status, count(*) FROM rec_tune('taste', '{"trials": 4, "seconds": 0.0000001}') GROUP BY status;

.print -- refused
SELECT * FROM rec_tune('charts');
SELECT * FROM rec_tune('both');
SELECT * FROM rec_tune('taste', '{"tries": 3}');
SELECT * FROM rec_tune('taste', '{"trials": 0}');
SELECT * FROM rec_tune('taste', '{"metric": "gini@10"}');
SELECT * FROM rec_tune('taste', '{"metric": "rmse"}');
SELECT * FROM rec_tune('taste', '{"space": {"beta": "lin 0 1"}}');
SELECT * FROM rec_tune('taste', '{"space": {"lambda": "log 0 1"}}');
SELECT * FROM rec_tune('taste', 'fast');
CREATE VIEW sneaky AS SELECT * FROM rec_tune('taste');
SELECT * FROM sneaky;
