#!/usr/bin/env bash
# Security levels: exactly the functions that reach outside or train are DIRECTONLY, and no llm_ function claims to be
# deterministic or innocuous (0x800 deterministic, 0x80000 direct only, 0x200000 innocuous).
set -u
list() { sqlite3 -batch -init /dev/null -cmd '.load build/release/rec' :memory: \
  "SELECT group_concat(name, ' ') FROM (SELECT DISTINCT name FROM pragma_function_list
    WHERE (name LIKE 'rec\_%' ESCAPE '\' OR name LIKE 'llm\_%' ESCAPE '\') AND $1 ORDER BY name)"; }
direct=$(list '(flags & 0x80000) <> 0')
want='llm_complete llm_converse llm_embed llm_embed_request llm_enrich llm_enrich_hash llm_enrich_request llm_explain llm_explain_request llm_preferences_request llm_profile llm_profile_request llm_rerank llm_rerank_request llm_rewrite llm_rewrite_request rec_hybrid rec_train'
[ "$direct" = "$want" ] || { echo "DIRECTONLY: $direct"; echo "expected:   $want"; exit 1; }
wrong=$(list "(flags & 0x200800) <> 0 AND name LIKE 'llm%'")
[ -z "$wrong" ] || { echo "deterministic or innocuous: $wrong"; exit 1; }
# A trigger cannot register a provider. Not a golden: 3.38 asks only when a table is read.
said=$(sqlite3 -batch -init /dev/null -cmd '.load build/release/rec' :memory: "CREATE TABLE t(a); CREATE TRIGGER tr AFTER INSERT
  ON t BEGIN INSERT INTO llm_models(name, base_url) VALUES ('evil', 'http://evil'); END; INSERT INTO t VALUES (1);" 2>&1)
case $said in *'unsafe use of virtual table "llm_models"'*) ;; *) echo "a trigger wrote llm_models: $said"; exit 1 ;; esac
