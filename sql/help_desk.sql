-- The sibling problem: which two of fifty articles answer this? No users, no history; the same parts all the same.
-- FTS5 finds the words, a rec_index finds the meaning, rec_rrf puts the two lists together, llm_rerank reads the best of
-- them and quotes what answers. Runs by itself in an empty database; the articles are invented.
CREATE TABLE article(article_id INTEGER PRIMARY KEY, title TEXT NOT NULL, body TEXT NOT NULL);
INSERT INTO article VALUES
 (1,'Reset your password','Open the sign-in page, choose Forgot password and follow the link in the mail. The link works for one hour.'),
 (2,'Change your mail address','Go to Account, then Profile. Type the new address and confirm it from both mailboxes.'),
 (3,'Two-step sign-in','Turn on codes from an authenticator app under Account, then Security. Keep the recovery codes on paper.'),
 (4,'My account is locked','After five wrong passwords an account is locked for fifteen minutes. Support can unlock it sooner.'),
 (5,'Delete your account','Under Account choose Close account. Everything is erased after thirty days; until then signing in brings it back.'),
 (6,'Invoices and receipts','Every payment has a receipt under Billing, then History. Receipts can be downloaded as PDF.'),
 (7,'Change the card you pay with','Under Billing choose Payment method. The new card is charged from the next month on.'),
 (8,'A payment was declined','The bank refused the card. Check its limit and date of expiry, or pay with another one under Billing.'),
 (9,'Get your money back','Refunds are possible within fourteen days of a purchase. Ask for one under Billing, then History.'),
 (10,'Switch to another plan','Under Billing choose Plan. A larger plan starts at once, a smaller one with the next period.'),
 (11,'Cancel a subscription','Under Billing choose Plan, then Cancel. It runs until the end of the period that is paid.'),
 (12,'Tax number on invoices','Add the tax number under Billing, then Company. Old invoices are not changed.'),
 (13,'Where is my parcel','The shipping mail holds a tracking number. Scans by the carrier show up after a day.'),
 (14,'My parcel arrived damaged','Photograph the box and the goods, and send the pictures within three days. A replacement goes out the same week.'),
 (15,'Send something back','Print the return label from Orders, stick it on the box and bring it to any parcel shop.'),
 (16,'Exchange for another size','Order the right size, and return the other one free of charge.'),
 (17,'Change the delivery address','As long as the order is being packed the address can be changed under Orders.'),
 (18,'Delivery abroad','We ship to every country of the union. Customs elsewhere are paid by the receiver.'),
 (19,'Delivery times','Standard delivery takes three working days, express one.'),
 (20,'Cancel an order','An order can be cancelled under Orders until it is packed.'),
 (21,'The app does not start','Install the newest version, then restart the phone. If it still closes at once, clear its storage.'),
 (22,'The app is slow','Close other apps and switch off power saving. A large photo library slows the first start.'),
 (23,'No notifications','Allow notifications in the settings of the phone and in the app under Alerts.'),
 (24,'Photos do not upload','Uploads wait for wireless networks unless mobile data is allowed under Sync.'),
 (25,'Sync between devices','Sign in with the same account on every device. Changes show up within a minute.'),
 (26,'Use the app offline','Mark folders as offline. Changes are sent as soon as there is a network.'),
 (27,'Share a folder','Open the folder, choose Share and type a mail address. Guests can read, editors can write.'),
 (28,'Stop sharing a folder','Open the folder, choose Share and remove the person. Copies that they made stay theirs.'),
 (29,'Restore deleted files','Deleted files stay in the bin for thirty days. Open the bin and choose Restore.'),
 (30,'Earlier versions of a file','Open the menu of a file and choose Versions. Any of the last fifty can be brought back.'),
 (31,'The storage is full','Empty the bin, remove old versions, or take a larger plan.'),
 (32,'Upload large files','Files over four gigabytes need the desktop program; the browser stops there.'),
 (33,'Search does not find a file','New files are indexed within ten minutes. Scans are found by their name only.'),
 (34,'Print a document','Open it and choose Print. Tables print best in landscape.'),
 (35,'Export all data','Under Account choose Export. A link to an archive is mailed within a day.'),
 (36,'Import from another service','Under Account choose Import and sign in there. Folders keep their names.'),
 (37,'Change the language','Under Account choose Language. The app follows at its next start.'),
 (38,'Dark mode','Under Appearance choose Dark, or let the app follow the phone.'),
 (39,'Larger letters','The app follows the text size of the phone. Under Appearance it can be set by itself.'),
 (40,'Keyboard shortcuts','Press the question mark in the browser to see every shortcut.'),
 (41,'Screen readers','Headings and buttons are labelled. Tell us about every one that is not.'),
 (42,'Invite a colleague','Under Team choose Invite. They get a mail with a link that works for a week.'),
 (43,'Roles in a team','Owners pay, admins invite, members work, guests read.'),
 (44,'Remove somebody from the team','Under Team choose the person, then Remove. Their files go to the owner.'),
 (45,'Sign in with your company','Under Team choose Single sign-on and paste the address of the identity provider.'),
 (46,'Who opened my document','Documents of a team show who opened them and when, under Activity.'),
 (47,'Suspicious mail in our name','We never ask for a password by mail. Forward such messages to abuse and delete them.'),
 (48,'Somebody else used my account','Change the password, then sign out all devices under Security. Look at the list of recent sign-ins.'),
 (49,'Connect a calendar','Under Calendar choose Connect. Meetings show up with their documents.'),
 (50,'Talk to a person','Write in the chat on working days from nine to five, or ask to be called back.');
CREATE VIRTUAL TABLE article_fts USING fts5(title, body, content=article, content_rowid=article_id, tokenize='porter unicode61');
INSERT INTO article_fts(article_fts) VALUES ('rebuild');

-- Vectors without any model: the three-letter pieces of a text, counted in 256 places; a place that every article has
-- counts little. Near vectors share pieces of words, so that "uploading" is near "upload" and a slip of the pen does
-- little harm. Any other embedding fits the same table.
CREATE TABLE question(question_id INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE VIEW piece AS
  WITH text(kind, id, s) AS (
    SELECT 'article', article_id, ' ' || lower(title || ' ' || title || ' ' || body) || ' ' FROM article
    UNION ALL SELECT 'question', question_id, ' ' || lower(body) || ' ' FROM question),
  step(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM step WHERE i < 400)
  SELECT kind, id, (unicode(substr(s, i, 1)) * 961 + unicode(substr(s, i + 1, 1)) * 31 + unicode(substr(s, i + 2, 1))) % 256 AS p,
         count(*) AS n
    FROM text, step WHERE i + 2 <= length(s) GROUP BY 1, 2, 3;
CREATE TABLE place(p INTEGER PRIMARY KEY, weight REAL NOT NULL);
INSERT INTO place WITH RECURSIVE n(p) AS (SELECT 0 UNION ALL SELECT p + 1 FROM n WHERE p < 255)
  SELECT p, 1.0 / (1 + (SELECT count(*) FROM piece WHERE kind = 'article' AND piece.p = n.p)) FROM n;
CREATE VIEW piece_vector AS
  SELECT kind, id, (SELECT json_group_array(coalesce(j.v, 0)) FROM (SELECT place.p, json_extract(c.counts, '$."' || place.p || '"') * weight AS v
                      FROM place ORDER BY place.p) AS j) AS v
    FROM (SELECT kind, id, json_group_object(CAST(p AS TEXT), n) AS counts FROM piece GROUP BY 1, 2) AS c;
CREATE VIRTUAL TABLE article_vec USING rec_index(article_id INTEGER PRIMARY KEY, v float32[256], metric=cosine);
INSERT INTO article_vec(article_id, v) SELECT id, v FROM piece_vector WHERE kind = 'article';

-- Ask.
INSERT INTO question VALUES
 (1, 'I forgot my password and now I am locked out'),
 (2, 'the bank declined my card, how do I pay with another one?'),
 (3, 'somebody deleted our files, can we get them back'),
 (4, 'my package came broken'),
 (5, 'uploading a huge file stops in the browser'),
 (6, 'how do I add a colleague to our team and what may they do');

-- Answer: twenty by words, twenty by meaning, fused by their ranks; the best ten are read and two are shown.
CREATE TEMP TABLE answer AS
WITH asked AS MATERIALIZED (
  SELECT question_id, body, (SELECT v FROM piece_vector WHERE kind = 'question' AND id = question_id) AS v,
         -- FTS5 wants words, not sentences: each in quotes, any of them
         (SELECT group_concat('"' || w.value || '"', ' OR ')
            FROM json_each('["' || replace(lower(replace(replace(replace(body, '"', ''), '?', ''), ',', '')), ' ', '","') || '"]') AS w) AS words
    FROM question),
by_words AS MATERIALIZED (
  SELECT question_id, article_id, row_number() OVER (PARTITION BY question_id ORDER BY score) AS place
    FROM (SELECT question_id, f.rowid AS article_id, bm25(article_fts, 2.0, 1.0) AS score FROM asked CROSS JOIN article_fts AS f WHERE article_fts MATCH words)),
by_meaning AS MATERIALIZED (
  SELECT question_id, article_id, row_number() OVER (PARTITION BY question_id ORDER BY distance) AS place
    FROM (SELECT question_id, x.article_id, x.distance FROM asked CROSS JOIN article_vec AS x WHERE x.v MATCH asked.v AND x.k = 20)),
fused AS MATERIALIZED (
  SELECT question_id, article_id, score, row_number() OVER (PARTITION BY question_id ORDER BY score DESC, article_id) AS place
    FROM (SELECT question_id, article_id, rec_rrf(place) AS score
            FROM (SELECT * FROM by_words WHERE place <= 20 UNION ALL SELECT * FROM by_meaning) GROUP BY 1, 2)),
read AS MATERIALIZED (
  SELECT question_id, (SELECT json_group_array(json_object('id', article_id, 'title', title, 'body', body, 'score', score))
                         FROM (SELECT * FROM fused AS f JOIN article USING (article_id) WHERE f.question_id = asked.question_id AND place <= 10 ORDER BY place)) AS list
    FROM asked)
SELECT a.question_id, a.body AS question, x.rank, x.id AS article_id, article.title, x.why, x.quote, x.status
  FROM asked AS a JOIN read USING (question_id) CROSS JOIN llm_rerank(a.body, read.list, '{"diversify": 0}') AS x
  JOIN article ON article.article_id = x.id
 WHERE x.rank <= 2;
SELECT question_id, rank, article_id, title, quote FROM answer ORDER BY question_id, rank;
