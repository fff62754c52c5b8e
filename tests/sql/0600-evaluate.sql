-- rec_evaluate and rec_compare on a table small enough to work everything out by hand.
CREATE TABLE plays(user INT, item INT, at INT, stars REAL);
INSERT INTO plays VALUES
  (1,10,1,5), (1,20,2,4), (1,30,3,2), (1,40,9,5),
  (2,10,1,4), (2,20,2,5), (2,50,8,1),
  (3,10,3,4), (3,30,1,5), (3,20,7,3),
  (4,10,5,5);
CREATE VIRTUAL TABLE charts USING rec_model(algorithm=popularity, interactions=plays, user=user, item=item, time=at);
CREATE VIRTUAL TABLE tallies USING rec_model(algorithm=popularity, interactions=plays, user=user, item=item);
CREATE VIRTUAL TABLE stars USING rec_model(algorithm=popularity, interactions=plays, user=user, item=item, value=stars, feedback=explicit, time=at);

-- The newest of each user is held out: 1-40, 2-50, 3-20; user 4 has one row and keeps it. What is left: item 10 four
-- times, 20 twice, 30 twice, 40 and 50 never. Lists without what the user had:
--   user 1: 40 and 50 (tied)      user 2: 30, then 40 and 50 (tied)      user 3: 20, then 40 and 50
-- Untrained, and nothing is written.
.print -- one list at a time
SELECT metric, k, round(value, 4), users, bucket, split, mask, denominator, ties, candidates, relevance, seed
  FROM rec_evaluate('charts', '{"split": "leave-one-out", "k": [1, 3], "metrics": ["recall", "ndcg", "mrr", "hit", "precision", "map"]}');
-- recall@3 is 1 for users 1, 2 and 3 each has at most three candidates but for user 2: 30, 40, 50.
-- Popularity lift at 3: shown (0+0)/2, (2+0+0)/3, (2+0+0)/3; had (4+2+2)/3, (4+2)/2, (4+2)/2: 1.3333 / 8.6667 - 1 = -.8462
-- Coverage at 3: 20, 30, 40, 50 of 5 items.
SELECT metric, k, round(value, 4), low IS NULL, users FROM rec_evaluate('charts', '{"split": "leave-one-out", "k": 3, "metrics": ["popularity_lift", "coverage"]}');
-- AUC: of user 3, 20 is above both others: 1; of 1, a tie: .5; of 2, 50 ties with 40 and is below 30: .25.
SELECT metric, k, round(value, 4), users, denominator FROM rec_evaluate('charts', '{"split": "leave-one-out", "metrics": "auc"}');
SELECT count(*) FROM charts_data;

.print -- buckets by length of history, and intervals
SELECT metric, k, round(value, 4), low <= value, high >= value, users, bucket
  FROM rec_evaluate('charts', '{"split": "leave-one-out", "k": 3, "metrics": ["recall", "precision"], "bucket": "history", "level": 0.9}');
SELECT (SELECT group_concat(low || ' ' || high) FROM rec_evaluate('charts', '{"split": "leave-one-out", "k": 1, "seed": 5}')) =
       (SELECT group_concat(low || ' ' || high) FROM rec_evaluate('charts', '{"split": "leave-one-out", "k": 1, "seed": 5}')) AS same;

.print -- buckets of items: 20 had two users in training, 40 and 50 none; a user counts where they have a relevant item of it
SELECT metric, k, round(value, 4), low <= value, high >= value, users, bucket
  FROM rec_evaluate('charts', '{"split": "leave-one-out", "k": [1, 3], "metrics": ["recall", "ndcg", "coverage"], "bucket": "item"}');
CREATE TABLE dated(user INT, item INT, at TEXT);
INSERT INTO dated VALUES (1, 1, '2020-01-01'), (1, 2, '2023-11-01'), (1, 5, '2024-01-09'), (2, 1, '2021-01-01'), (2, 3, '2023-12-20'), (2, 2, '2024-01-05'), (3, 3, '2024-01-01'),
  (3, 1, '2024-01-07'), (4, 2, '2023-12-31'), (4, 4, '2023-06-01'), (4, 6, '2024-01-08');
CREATE VIRTUAL TABLE aged USING rec_model(algorithm=popularity, interactions=dated, user=user, item=item, time=at);
SELECT metric, k, round(value, 4), users, bucket FROM rec_evaluate('aged', '{"split": "leave-one-out", "k": 3, "metrics": "recall", "bucket": "age"}');
SELECT * FROM rec_evaluate('stars', '{"bucket": "week"}');
CREATE VIRTUAL TABLE timeless USING rec_model(algorithm=popularity, interactions=dated, user=user, item=item);
SELECT * FROM rec_evaluate('timeless', '{"bucket": "age"}');

.print -- stages of a hybrid: what each member finds, what they find together, what is shown; how long a user takes
CREATE VIRTUAL TABLE pairs USING rec_model(algorithm=itemknn, interactions=plays, user=user, item=item, time=at);
CREATE VIRTUAL TABLE stages USING rec_model(algorithm=hybrid, a=charts, b=pairs, gate='weighted(.5)');
SELECT metric, k, round(value, 4), low <= value, users, bucket, split FROM rec_evaluate('stages', '{"split": "leave-one-out", "stage": "candidates", "k": [1, 3]}') WHERE metric <> 'milliseconds';
SELECT group_concat(bucket), min(value > 0 AND value < 10000), min(users) FROM rec_evaluate('stages', '{"split": "leave-one-out", "stage": "candidates"}') WHERE metric = 'milliseconds';
SELECT group_concat(bucket || ' ' || k) FROM rec_evaluate('charts', '{"split": "leave-one-out", "stage": "candidates"}') WHERE k;
SELECT * FROM rec_evaluate('stages', '{"stage": "candidates", "metrics": "ndcg"}');
SELECT * FROM rec_evaluate('stages', '{"stage": "members"}');
SELECT * FROM rec_compare('stages', 'charts', '{"stage": "candidates"}');

.print -- ratings: relevant from the mean of the training rows (34/8) on, RMSE over all test rows
SELECT metric, k, round(value, 3), users, relevance FROM rec_evaluate('stars', '{"split": "leave-one-out", "k": 2, "metrics": ["recall", "rmse"]}');
SELECT metric, k, round(value, 3), users, relevance FROM rec_evaluate('stars', '{"split": "leave-one-out", "k": 2, "metrics": "recall", "relevance": 1}');

.print -- other splits
SELECT DISTINCT split, mask, users FROM rec_evaluate('charts', '{"split": "last", "share": 0.5, "metrics": "recall"}');
SELECT DISTINCT split, users FROM rec_evaluate('charts', '{"split": "random", "metrics": "recall"}');
SELECT DISTINCT split, users FROM rec_evaluate('charts', '{"split": "temporal", "cutoff": 6, "metrics": "recall"}');
SELECT DISTINCT split, users FROM rec_evaluate('charts', '{"split": "user", "share": 0.3, "metrics": "recall"}');
SELECT split, users, mask, denominator FROM rec_evaluate('charts', '{"split": "leave-one-out", "metrics": "recall", "mask": "none", "denominator": "min(k,|test|)", "users": 2}');

.print -- a table of one's own
CREATE TABLE asked(user INT, item INT);
INSERT INTO asked VALUES (1, 50), (4, 20), (9, 10), (4, 99);
SELECT metric, k, round(value, 4), users, split FROM rec_evaluate('charts', '{"table": "asked", "k": 2, "metrics": ["recall", "mrr"]}');
INSERT INTO asked VALUES (3, 30);
SELECT * FROM rec_evaluate('charts', '{"table": "asked"}');
SELECT * FROM rec_evaluate('charts', '{"table": "nowhere"}');

.print -- a hybrid: its members are copies too
CREATE VIRTUAL TABLE taste USING rec_model(algorithm=als, factors=2, interactions=plays, user=user, item=item);
CREATE VIRTUAL TABLE both USING rec_model(algorithm=hybrid, a=charts, b=taste);
SELECT metric, k, users, value BETWEEN 0 AND 1, candidates FROM rec_evaluate('both', '{"split": "leave-one-out", "k": 2, "metrics": ["recall", "auc"]}');

.print -- two models, the same users
SELECT metric, k, round(a, 4), round(b, 4), round(diff, 4), low, high, users
  FROM rec_compare('charts', 'tallies', '{"split": "leave-one-out", "k": 3, "metrics": ["recall", "ndcg"]}');
SELECT metric, round(a, 4), round(a - b - diff, 4), users FROM rec_compare('charts', 'both', '{"split": "leave-one-out", "k": 1, "metrics": "recall"}');

.print -- refused
SELECT * FROM rec_evaluate('nothing');
SELECT * FROM rec_evaluate(NULL);
SELECT * FROM rec_evaluate('charts', '[1]');
SELECT * FROM rec_evaluate('charts', '{"folds": 5}');
SELECT * FROM rec_evaluate('charts', '{"metrics": ["f1"]}');
SELECT * FROM rec_evaluate('charts', '{"k": 0}');
SELECT * FROM rec_evaluate('charts', '{"split": "half"}');
SELECT * FROM rec_evaluate('charts', '{"split": "random", "table": "asked"}');
SELECT * FROM rec_evaluate('charts', '{"share": 2}');
SELECT * FROM rec_evaluate('tallies', '{"split": "temporal"}');
