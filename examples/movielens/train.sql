-- Three models over the two tables: what people watch, what films are about, and both together.
CREATE VIRTUAL TABLE taste USING rec_model(
  algorithm=als, factors=64, alpha0=0.05, lambda=0.01,
  interactions=ratings, user=user_id, item=movie_id, time=rated_at, feedback=implicit, positive='rating >= 3.5',
  items=movies, title=title);
CREATE VIRTUAL TABLE about USING rec_model(
  algorithm=content, embedder='lsa(256)',
  items=movies, item=movie_id, title=title, text='title, overview, tags',
  facets='genres[|], year, language, runtime',
  interactions=ratings, user=user_id, value=rating, time=rated_at, feedback=explicit);
CREATE VIRTUAL TABLE reader USING rec_model(
  algorithm=hybrid, cf=taste, content=about, gate='weighted(.7)', eligible=in_stock_now);
SELECT rec_train('taste');
SELECT rec_train('about');
SELECT rec_train('reader');
