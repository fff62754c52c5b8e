/* signal.c - what one row of the interactions says about a user's taste.
 *
 *     feedback=implicit                          feedback=explicit
 *     weight = event weight x value              value  = the rating
 *     (without event= or value= that factor is 1)  weight = 1
 *          > 0  liked, the more the surer
 *          < 0  disliked
 *            0  says nothing: seen, not used
 *
 * Every row makes its item *seen*. It is *used*, which means that it shapes the profile, unless
 *   S1  positive='...' is false for it,
 *   S2  its value is NULL, or implicit and 0,
 *   S3  its time lies outside since..until (both inclusive), or is unknown while one of them
 *       is given.
 * A used row then loses weight with age: 2^-(age / half_life), where now is the newest
 * interaction, so that training last year's data today gives last year's model. A row without
 * a time keeps its weight. A row newer than `now` (it came after training) counts as new.
 *
 * Kinds of event that the weights do not list, and explicit values that are not numbers, are
 * errors: a silent zero would train a model of something else.
 */
#include "model.h"

#include <math.h>

/* Larger magnitudes would leave float range as soon as two are added. */
#define SIGNAL_MAX_WEIGHT 1e30
/* Below this a decayed weight could vanish to 0 and take the row with it. */
#define SIGNAL_MIN_DECAY 1e-9f
/* Numbers from here on are milliseconds: as seconds they would lie beyond the year 5138. */
#define SIGNAL_MIN_MILLISECONDS 1e11

/* ---- options: weights and spans ---------------------------------------------------------- */

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_space(const char *s) {
    while (is_space(*s)) s++;
    return s;
}

static int find_event(const signal_spec *s, const char *name, size_t n) {
    for (size_t i = 0; i < s->n_event; i++)
        if (strlen(s->event[i]) == n && memcmp(s->event[i], name, n) == 0)
            return (int)i;
    return -1;
}

/* One "kind:weight" at *at, which moves past it and past the comma. */
static rec_status parse_weight(const char **at, signal_spec *s, rec_err *err) {
    const char *name = skip_space(*at), *colon = strchr(name, ':');
    const char *comma = strchr(name, ',');
    if (!colon || (comma && comma < colon))
        return rec_fail(err, REC_RANGE,
                        "weights: '%.60s' is not of the form kind:weight, kind:weight",
                        name);
    size_t n = (size_t)(colon - name);
    while (n && is_space(name[n - 1])) n--;
    if (n == 0 || n >= sizeof s->event[0])
        return rec_fail(err, REC_RANGE,
                        "weights: the kind '%.*s' has %zu bytes (1..%zu)",
                        (int)(n < 40 ? n : 40), name, n, sizeof s->event[0] - 1);
    double weight;
    const char *p = skip_space(colon + 1);
    size_t used = rec_parse_number(p, strlen(p), &weight);
    const char *end = skip_space(p + used);
    if (!used || !(fabs(weight) <= SIGNAL_MAX_WEIGHT) || (*end && *end != ','))
        return rec_fail(err, REC_RANGE,
                        "weights: '%.*s' has no number after it, found '%.40s'", (int)n,
                        name, p);
    if (find_event(s, name, n) >= 0)
        return rec_fail(err, REC_RANGE, "weights: '%.*s' is listed twice", (int)n,
                        name);
    if (s->n_event == SIGNAL_MAX_EVENTS)
        return rec_fail(err, REC_RANGE, "weights: more than %d kinds",
                        SIGNAL_MAX_EVENTS);
    memcpy(s->event[s->n_event], name, n);
    s->event[s->n_event][n] = 0;
    s->event_weight[s->n_event++] = weight;
    *at = *end == ',' ? end + 1 : end;
    return REC_OK;
}

rec_status signal_parse_weights(const char *text, signal_spec *s, rec_err *err) {
    s->n_event = 0;
    do {
        rec_status st = parse_weight(&text, s, err);
        if (st) return st;
    } while (*skip_space(text));
    return REC_OK;
}

static const struct span_unit {
    const char *name;
    double seconds;
} span_units[] = {
    {"second", 1},      {"sec", 1},       {"s", 1},      {"minute", 60},
    {"min", 60},        {"hour", 3600},   {"h", 3600},   {"day", 86400},
    {"d", 86400},       {"week", 604800}, {"w", 604800}, {"month", 2629746},
    {"year", 31556952},
};

rec_status signal_parse_span(const char *text, double *seconds, rec_err *err) {
    *seconds = NAN;
    const char *p = skip_space(text);
    double count, unit = 1;
    size_t used = rec_parse_number(p, strlen(p), &count);
    p = skip_space(p + used);
    size_t n = strlen(p);
    while (n && is_space(p[n - 1])) n--;
    bool ok = used && isfinite(count) && count > 0;
    if (ok && n) {
        ok = false;
        for (size_t i = 0; i < sizeof span_units / sizeof span_units[0]; i++) {
            size_t len = strlen(span_units[i].name);
            bool plural = n == len + 1 && p[len] == 's';
            if ((n == len || plural) && memcmp(p, span_units[i].name, len) == 0)
                ok = true, unit = span_units[i].seconds;
        }
    }
    if (!ok || !isfinite(count * unit))
        return rec_fail(
            err, REC_RANGE,
            "'%.60s' is not a span of time such as '90 days', '12 hours', '2 weeks' "
            "or a number of seconds above 0",
            text);
    *seconds = count * unit;
    return REC_OK;
}

/* ---- times ---------------------------------------------------------------------------------- */

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar. Years are taken to
 * begin in March, which puts the leap day last; 400 years have 146097 days. */
static int64_t days_from_civil(int64_t y, int m, int d) {
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

typedef struct scan { /* a reader of fixed-width numbers; fails once and for all */
    const char *s;
    size_t n, at;
    bool ok;
} scan;

static int scan_digits(scan *c, int n_digit) {
    int v = 0;
    for (int i = 0; i < n_digit; i++) {
        if (!c->ok || c->at >= c->n || c->s[c->at] < '0' || c->s[c->at] > '9') {
            c->ok = false;
            return 0;
        }
        v = v * 10 + (c->s[c->at++] - '0');
    }
    return v;
}

static bool scan_char(scan *c, const char *any) {
    if (!c->ok || c->at >= c->n || !strchr(any, c->s[c->at]) || !c->s[c->at])
        return false;
    c->at++;
    return true;
}

static bool scan_need(scan *c, const char *any) {
    if (!scan_char(c, any)) c->ok = false;
    return c->ok;
}

static int days_in_month(int y, int m) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return m == 2 && leap ? 29 : days[m - 1];
}

/* "12:30", "12:30:15", "12:30:15.5", then "", "Z", "+02:00", "+0200" -> seconds of the day. */
static double scan_clock(scan *c) {
    int h = scan_digits(c, 2), min = 0, offset = 0;
    double sec = 0;
    scan_need(c, ":");
    min = scan_digits(c, 2);
    if (scan_char(c, ":")) {
        sec = scan_digits(c, 2);
        if (scan_char(c, ".,")) {
            double place = .1;
            if (c->at >= c->n || c->s[c->at] < '0' || c->s[c->at] > '9') c->ok = false;
            for (; c->ok && c->at < c->n && c->s[c->at] >= '0' && c->s[c->at] <= '9';
                 c->at++, place /= 10)
                sec += (c->s[c->at] - '0') * place;
        }
    }
    while (scan_char(c, " ")) continue;
    if (c->ok && c->at < c->n && !scan_char(c, "Zz")) {
        int sign = c->s[c->at] == '-' ? -1 : 1;
        scan_need(c, "+-");
        int oh = scan_digits(c, 2);
        scan_char(c, ":");
        int om = c->at < c->n ? scan_digits(c, 2) : 0;
        if (oh > 14 || om > 59) c->ok = false;
        offset = sign * (oh * 3600 + om * 60);
    }
    if (h > 23 || min > 59 || sec >= 61) c->ok = false;
    return h * 3600 + min * 60 + sec - offset;
}

static bool parse_iso(const char *s, size_t n, double *seconds) {
    scan c = {s, n, 0, true};
    int y = scan_digits(&c, 4);
    bool has_dash = scan_char(&c, "-/");
    int m = scan_digits(&c, 2);
    if (has_dash) scan_need(&c, "-/");
    int d = scan_digits(&c, 2);
    if (!has_dash || !c.ok || m < 1 || m > 12 || d < 1 || d > days_in_month(y, m))
        return false;
    double clock = 0;
    if (c.at < c.n) {
        scan_need(&c, "Tt ");
        clock = scan_clock(&c);
    }
    if (!c.ok || c.at != c.n) return false;
    *seconds = (double)days_from_civil(y, m, d) * 86400.0 + clock;
    return true;
}

static bool from_number(double x, double *seconds) {
    if (!isfinite(x)) return false;
    *seconds = fabs(x) >= SIGNAL_MIN_MILLISECONDS ? x / 1000 : x;
    return true;
}

bool signal_parse_time(const cell *c, double *seconds) {
    *seconds = NAN;
    if (c->type == CELL_INT) return from_number((double)c->i, seconds);
    if (c->type == CELL_REAL) return from_number(c->r, seconds);
    if (c->type != CELL_TEXT) return false;
    const char *s = c->p;
    size_t n = c->nbyte;
    while (n && is_space(*s)) s++, n--;
    while (n && is_space(s[n - 1])) n--;
    double x;
    if (n && rec_parse_number(s, n, &x) == n) return from_number(x, seconds);
    return parse_iso(s, n, seconds);
}

/* ---- one row ---------------------------------------------------------------------------------- */

/* A number, or text that is one. */
static bool cell_number(const cell *c, double *out) {
    if (c->type == CELL_INT)
        *out = (double)c->i;
    else if (c->type == CELL_REAL)
        *out = c->r;
    else if (c->type == CELL_TEXT) {
        const char *s = c->p;
        size_t n = c->nbyte;
        while (n && is_space(*s)) s++, n--;
        while (n && is_space(s[n - 1])) n--;
        if (n == 0 || rec_parse_number(s, n, out) != n) return false;
    } else
        return false;
    return isfinite(*out);
}

static rec_status refuse_event(const signal_spec *s, const cell *c, rec_err *err) {
    char list[200];
    size_t at = 0;
    list[0] = 0;
    for (size_t i = 0; i < s->n_event && at + 40 < sizeof list; i++)
        at +=
            rec_format(list + at, sizeof list - at, "%s%s", i ? ", " : "", s->event[i]);
    if (c->type == CELL_TEXT)
        return rec_fail(err, REC_RANGE, "event '%.*s' is not listed in weights (%s)",
                        (int)(c->nbyte < 60 ? c->nbyte : 60), c->p, list);
    if (c->type == CELL_INT)
        return rec_fail(err, REC_RANGE, "event %lld is not listed in weights (%s)",
                        (long long)c->i, list);
    return rec_fail(err, REC_RANGE, "event %s is not listed in weights (%s)",
                    c->type == CELL_NULL ? "NULL" : "of an unexpected type", list);
}

static rec_status event_weight(const signal_spec *s, const cell *c, double *weight,
                               rec_err *err) {
    char number[32];
    int at = -1;
    if (c->type == CELL_TEXT)
        at = find_event(s, c->p, c->nbyte);
    else if (c->type == CELL_INT)
        at = find_event(s, number,
                        rec_format(number, sizeof number, "%lld", (long long)c->i));
    if (at < 0) return refuse_event(s, c, err);
    *weight = s->event_weight[at];
    return REC_OK;
}

static rec_status refuse_value(const signal_spec *s, const cell *c, rec_err *err) {
    const char *rule = s->feedback == FEEDBACK_EXPLICIT
                           ? "feedback=explicit needs a number"
                           : "value= needs a number";
    if (c->type == CELL_TEXT)
        return rec_fail(err, REC_RANGE, "value '%.*s': %s",
                        (int)(c->nbyte < 60 ? c->nbyte : 60), c->p, rule);
    if (c->type == CELL_REAL || c->type == CELL_INT)
        return rec_fail(err, REC_RANGE, "value %g: %s within -1e30..1e30",
                        c->type == CELL_INT ? (double)c->i : c->r, rule);
    return rec_fail(err, REC_RANGE, "value of type BLOB: %s", rule);
}

static bool in_window(const signal_spec *s, double time) {
    if (!isnan(s->since) && !(time >= s->since)) return false;
    if (!isnan(s->until) && !(time <= s->until)) return false;
    return true;
}

rec_status signal_read(const signal_spec *s, const signal_row *row, signal_out *out,
                       rec_err *err) {
    double weight = 1, value = 1, time;
    rec_status st;
    *out = (signal_out){.time = NAN};
    if (s->has_time && signal_parse_time(&row->time, &time)) out->time = time;
    if (s->has_event && (st = event_weight(s, &row->event, &weight, err))) return st;
    if (s->has_value) {
        if (row->value.type == CELL_NULL) return REC_OK;
        if (!cell_number(&row->value, &value) || fabs(value) > SIGNAL_MAX_WEIGHT)
            return refuse_value(s, &row->value, err);
    }
    if (!row->is_positive || !in_window(s, out->time)) return REC_OK;
    if (s->feedback == FEEDBACK_EXPLICIT) {
        /* An event table beside a rating says how much the rating is to be trusted. */
        if (!(weight > 0)) return REC_OK;
        out->weight = (float)weight;
        out->value = (float)value;
        out->use = true;
        return REC_OK;
    }
    weight *= value;
    if (fabs(weight) > SIGNAL_MAX_WEIGHT)
        weight = weight > 0 ? SIGNAL_MAX_WEIGHT : -SIGNAL_MAX_WEIGHT;
    out->weight = out->value = (float)weight;
    out->use = out->weight != 0;
    return REC_OK;
}

float signal_decay(const signal_spec *s, double time, double now) {
    if (!(s->half_life > 0) || isnan(time) || isnan(now) || time >= now) return 1;
    float f = (float)exp2(-(now - time) / s->half_life);
    return f > SIGNAL_MIN_DECAY ? f : SIGNAL_MIN_DECAY;
}
