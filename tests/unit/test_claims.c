/* Which sentences may stand beside a record: stated, inferred, invented. */
#include "../../ext/llm/llm.h"
#include "unit.h"

static const char *const record[] = {
    "Quiet Harbour (1998)",
    "A widow named Anna Holm keeps 2 cafes by the sea; no guest leaves sad.",
    "Drama, Romance", "12.5"};

static claim_kind judged(const char *s, bool is_phrase) {
    rec_err err = {0};
    claims *c;
    if (claims_new(record, 4, &c, &err)) return CLAIM_INVENTED;
    claim_kind kind = claims_judge(c, s, is_phrase);
    claims_free(c);
    return kind;
}

static void test_stated(void) {
    CHECK(judged("A widow keeps cafes by the sea.", false) == CLAIM_STATED);
    CHECK(judged("Anna keeps 2 cafes.", false) == CLAIM_STATED);
    CHECK(judged("A drama from 1998.", false) == CLAIM_STATED);
    CHECK(judged("romance", true) == CLAIM_STATED);
    CHECK(judged("It costs 12.50", false) != CLAIM_INVENTED); /* the same number */
}

static void test_inferred(void) {
    CHECK(judged("A calm story for a rainy evening.", false) == CLAIM_INFERRED);
    CHECK(judged("The widow never keeps cafes.", false) == CLAIM_INFERRED); /* denies */
    CHECK(judged("slow burning", true) == CLAIM_INFERRED);
    CHECK(judged("Suits families.", false) != CLAIM_STATED);
}

static void test_invented(void) {
    CHECK(judged("Tom Hanks keeps a cafe.", false) == CLAIM_INVENTED);
    CHECK(judged("A story like those of Kurosawa.", false) == CLAIM_INVENTED);
    CHECK(judged("Spielberg directs.", false) == CLAIM_INVENTED);
    CHECK(judged("Pixar's best.", false) == CLAIM_INVENTED);
    CHECK(judged("Pixar", true) == CLAIM_INVENTED);
    CHECK(judged("\xc3\x89tienne and the \xc3\x85land islands", false) ==
          CLAIM_INVENTED);
    CHECK(judged("Rated 9.9 by critics.", false) == CLAIM_INVENTED);
    CHECK(judged("Winner of seven prizes.", false) == CLAIM_INVENTED);
    CHECK(judged("More on http://evil.example", false) == CLAIM_INVENTED);
    CHECK(judged("write to me@x.example", false) == CLAIM_INVENTED);
    CHECK(judged("", false) == CLAIM_INVENTED && judged("...", true) == CLAIM_INVENTED);
}

static void test_sentences(void) {
    CHECK(claims_sentence("One. Two.") == 4);
    CHECK(claims_sentence("Costs 12.5 now! Yes") == 15);
    CHECK(claims_sentence("no mark") == 7 && claims_sentence("") == 0);
}

int main(void) {
    UNIT_BEGIN("claims");
    test_stated();
    test_inferred();
    test_invented();
    test_sentences();
    return UNIT_END();
}
