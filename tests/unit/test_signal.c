/* Signals: weights, spans, times, and what one row means. */
#include "model_data.h"

static cell text(const char *s) {
    return (cell){.type = CELL_TEXT, .p = s, .nbyte = strlen(s)};
}
static cell integer(int64_t i) {
    return (cell){.type = CELL_INT, .i = i};
}
static cell real(double r) {
    return (cell){.type = CELL_REAL, .r = r};
}

static double time_of(const char *s) {
    double t;
    cell c = text(s);
    bool ok = signal_parse_time(&c, &t);
    CHECK(ok == !isnan(t));
    return t;
}

static void test_times(void) {
    double t;
    cell c = integer(1700000000);
    CHECK(signal_parse_time(&c, &t) && t == 1700000000);
    c = integer(1700000000123);
    CHECK(signal_parse_time(&c, &t) && t == 1700000000.123);
    c = real(964982703.5);
    CHECK(signal_parse_time(&c, &t) && t == 964982703.5);
    c = real(NAN);
    CHECK(!signal_parse_time(&c, &t) && isnan(t));
    c = (cell){.type = CELL_NULL};
    CHECK(!signal_parse_time(&c, &t) && isnan(t));
    c = (cell){.type = CELL_BLOB, .p = "1", .nbyte = 1};
    CHECK(!signal_parse_time(&c, &t));
    CHECK(time_of("1970-01-01") == 0);
    CHECK(time_of("2024-05-01") == 1714521600);
    CHECK(time_of("2024-05-01 12:30") == 1714521600 + 45000);
    CHECK(time_of("2024-05-01T12:30:15Z") == 1714521600 + 45015);
    CHECK(time_of("2024-05-01T12:30:15.5+02:00") == 1714521600 + 45015.5 - 7200);
    CHECK(time_of("2024-05-01 12:30-0530") == 1714521600 + 45000 + 19800);
    CHECK(time_of("  1714521600 ") == 1714521600);
    CHECK(time_of("1714521600000") == 1714521600);
    CHECK(time_of("1969-12-31 23:59:59") == -1);
    CHECK(time_of("2000-02-29") == 951782400);
    CHECK(time_of("0001-01-01") == -62135596800.0);
    const char *const bad[] = {"",
                               "yesterday",
                               "2024-13-01",
                               "2023-02-29",
                               "1900-02-29",
                               "2024-05-32",
                               "2024-05",
                               "2024-05-01T",
                               "2024-05-01 25:00",
                               "2024-05-01 12:61",
                               "2024-05-01 12:30:15.",
                               "2024-05-01x",
                               "2024-05-01 12:30 PM",
                               "2024-05-01 12:30+99:00",
                               "12:30"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(isnan(time_of(bad[i])));
}

static void test_spans(void) {
    static const struct {
        const char *text;
        double seconds;
    } good[] = {{"90 days", 7776000}, {"1.5 hours", 5400}, {"2 weeks", 1209600},
                {"3600", 3600},       {"1 day", 86400},    {"12h", 43200},
                {" 10 min ", 600},    {"1 year", 31556952}};
    const char *const bad[] = {
        "", "days", "0", "-1 day", "3 fortnights", "1 day 2 hours", "nan"};
    rec_err err = {0};
    double s;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        CHECK(!signal_parse_span(good[i].text, &s, &err) && s == good[i].seconds);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(signal_parse_span(bad[i], &s, &err) == REC_RANGE &&
              strstr(err.msg, "'90 days'"));
}

static void test_weights(void) {
    signal_spec s = plain_signal(FEEDBACK_IMPLICIT);
    rec_err err = {0};
    CHECK(!signal_parse_weights("view:.1, click:.3 , play : 1,buy:3, skip:-.5", &s,
                                &err));
    CHECK(s.n_event == 5 && strcmp(s.event[2], "play") == 0 &&
          s.event_weight[4] == -.5);
    const char *const bad[] = {"",
                               "view",
                               "view:",
                               "view:x",
                               ":1",
                               "view:1,,buy:2",
                               "view:1, view:2",
                               "view:1 buy:2",
                               "view:1e99",
                               "an_event_kind_that_has_more_bytes_than_allowed:1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(signal_parse_weights(bad[i], &s, &err) == REC_RANGE && err.msg[0]);
}

static void test_implicit(void) {
    signal_spec s = plain_signal(FEEDBACK_IMPLICIT);
    signal_row row = {.is_positive = true};
    signal_out out;
    rec_err err = {0};
    CHECK(!signal_read(&s, &row, &out, &err) && out.use && out.weight == 1 &&
          isnan(out.time));
    row.is_positive = false;
    CHECK(!signal_read(&s, &row, &out, &err) && !out.use);
    row.is_positive = true;
    s.has_value = true;
    CHECK(!signal_read(&s, &row, &out, &err) && !out.use); /* NULL */
    row.value = integer(0);
    CHECK(!signal_read(&s, &row, &out, &err) && !out.use);
    row.value = real(-2.5);
    CHECK(!signal_read(&s, &row, &out, &err) && out.use && out.weight == -2.5f);
    row.value = text(" 3 ");
    CHECK(!signal_read(&s, &row, &out, &err) && out.use && out.weight == 3 &&
          out.value == 3);
    row.value = text("three");
    CHECK(signal_read(&s, &row, &out, &err) == REC_RANGE && strstr(err.msg, "'three'"));
    row.value = real(INFINITY);
    CHECK(signal_read(&s, &row, &out, &err) == REC_RANGE);
    row.value = integer(INT64_MAX);
    CHECK(!signal_read(&s, &row, &out, &err) && out.use && isfinite(out.weight));
}

static void test_events(void) {
    signal_spec s = plain_signal(FEEDBACK_IMPLICIT);
    signal_row row = {.is_positive = true, .event = text("buy"), .value = integer(2)};
    signal_out out;
    rec_err err = {0};
    s.has_event = s.has_value = true;
    CHECK(!signal_parse_weights("view:.1, buy:3, 7:5, skip:-.5, bot:0", &s, &err));
    CHECK(!signal_read(&s, &row, &out, &err) && out.weight == 6);
    row.event = integer(7);
    CHECK(!signal_read(&s, &row, &out, &err) && out.weight == 10);
    row.event = text("skip");
    CHECK(!signal_read(&s, &row, &out, &err) && out.use && out.weight == -1);
    row.event = text("bot");
    CHECK(!signal_read(&s, &row, &out, &err) && !out.use);
    row.event = text("hover");
    CHECK(signal_read(&s, &row, &out, &err) == REC_RANGE);
    CHECK(strcmp(err.msg,
                 "event 'hover' is not listed in weights (view, buy, 7, skip, bot)") ==
          0);
    row.event = (cell){.type = CELL_NULL};
    CHECK(signal_read(&s, &row, &out, &err) == REC_RANGE && strstr(err.msg, "NULL"));
    row.event = text("buy");
    row.value = (cell){.type = CELL_NULL};
    CHECK(!signal_read(&s, &row, &out, &err) && !out.use);
}

static void test_explicit(void) {
    signal_spec s = plain_signal(FEEDBACK_EXPLICIT);
    signal_row row = {.is_positive = true, .value = real(4.5)};
    signal_out out;
    rec_err err = {0};
    CHECK(!signal_read(&s, &row, &out, &err) && out.use && out.weight == 1 &&
          out.value == 4.5f);
    row.value = integer(0); /* a rating of 0 is a rating */
    CHECK(!signal_read(&s, &row, &out, &err) && out.use && out.value == 0);
    row.value = (cell){.type = CELL_NULL};
    CHECK(!signal_read(&s, &row, &out, &err) && !out.use);
    row.value = text("good");
    CHECK(signal_read(&s, &row, &out, &err) == REC_RANGE &&
          strstr(err.msg, "feedback=explicit"));
    row.value = (cell){.type = CELL_BLOB, .p = "x", .nbyte = 1};
    CHECK(signal_read(&s, &row, &out, &err) == REC_RANGE);
}

static void test_window(void) {
    signal_spec s = plain_signal(FEEDBACK_IMPLICIT);
    signal_row row = {.is_positive = true, .time = integer(1000)};
    signal_out out;
    rec_err err = {0};
    s.has_time = true;
    s.since = 1000;
    CHECK(!signal_read(&s, &row, &out, &err) && out.use && out.time == 1000);
    s.since = 1001;
    CHECK(!signal_read(&s, &row, &out, &err) && !out.use);
    s.since = NAN;
    s.until = 1000;
    CHECK(!signal_read(&s, &row, &out, &err) && out.use);
    row.time = (cell){.type = CELL_NULL};
    CHECK(!signal_read(&s, &row, &out, &err) && !out.use);
    s.until = NAN;
    CHECK(!signal_read(&s, &row, &out, &err) && out.use);
}

static void test_decay(void) {
    signal_spec s = plain_signal(FEEDBACK_IMPLICIT);
    CHECK(signal_decay(&s, 0, 1e9) == 1);
    s.half_life = 86400;
    CHECK_NEAR(signal_decay(&s, 0, 86400), .5, 1e-6);
    CHECK_NEAR(signal_decay(&s, 0, 3 * 86400), .125, 1e-6);
    CHECK(signal_decay(&s, 100, 50) == 1);
    CHECK(signal_decay(&s, NAN, 50) == 1 && signal_decay(&s, 50, NAN) == 1);
    CHECK(signal_decay(&s, 0, 1e12) > 0);
}

int main(void) {
    UNIT_BEGIN("signal");
    test_times();
    test_spans();
    test_weights();
    test_implicit();
    test_events();
    test_explicit();
    test_window();
    test_decay();
    return UNIT_END();
}
