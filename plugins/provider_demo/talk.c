/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the demonstration bot says.
 */
#include "talk.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "story.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define STORY_CHAPTERS 10
#define QUOTE_MAX 120 /* bytes of the user's own text that are said back */
#define FAILING_PARTS 2

/* The rules, in the order in which they are tried. */
enum topic {
	TOPIC_ENDLESS = 1,
	TOPIC_BUSY,
	TOPIC_ERROR,
	TOPIC_CUT,
	TOPIC_LENGTH,
	TOPIC_EMPTY,
	TOPIC_HELP,
	TOPIC_STORY,
	TOPIC_CODE,
	TOPIC_LIST,
	TOPIC_TABLE,
	TOPIC_THANKS,
	TOPIC_BYE,
	TOPIC_GREETING,
	TOPIC_QUESTION,
	TOPIC_SUMMARY,
};

static const struct rule {
	enum topic topic;
	bool command; /* the whole message, else words anywhere in it */
	const char *words[6];
} rules[] = {
	{ TOPIC_ENDLESS, true, { "/endless" } },
	{ TOPIC_BUSY, true, { "/busy" } },
	{ TOPIC_ERROR, true, { "/error" } },
	{ TOPIC_CUT, true, { "/cut" } },
	{ TOPIC_LENGTH, true, { "/length" } },
	{ TOPIC_EMPTY, true, { "/empty" } },
	{ TOPIC_HELP, true, { "/help" } },
	{ TOPIC_STORY, false, { "story", "tale" } },
	{ TOPIC_CODE, false, { "code", "function", "program", "snippet" } },
	{ TOPIC_LIST, false, { "list", "steps", "ideas", "plan" } },
	{ TOPIC_TABLE, false, { "table", "compare" } },
	{ TOPIC_HELP, false, { "help" } },
	{ TOPIC_THANKS, false, { "thanks", "thank" } },
	{ TOPIC_BYE, false, { "bye", "goodbye", "goodnight" } },
	{ TOPIC_GREETING, false, { "hello", "hi", "hey", "morning", "evening", "greetings" } },
};

static struct parlance_str last_text(const struct parlance_prompt *prompt)
{
	size_t i;

	for (i = prompt->n_messages; i > 0; i--) {
		if (prompt->messages[i - 1].role == PARLANCE_ROLE_USER)
			return prompt->messages[i - 1].text;
	}
	return (struct parlance_str){ "", 0 };
}

static struct parlance_str trimmed(struct parlance_str text)
{
	while (text.len > 0 && isspace((unsigned char)*text.p)) {
		text.p++;
		text.len--;
	}
	while (text.len > 0 && isspace((unsigned char)text.p[text.len - 1]))
		text.len--;
	return text;
}

static bool is_word_byte(char c)
{
	return isalnum((unsigned char)c) || (unsigned char)c >= 0x80 || c == '\'';
}

/* The next word of the text, taken off it; len 0: none. */
static struct parlance_str next_word(struct parlance_str *text)
{
	struct parlance_str word;

	while (text->len > 0 && !is_word_byte(*text->p)) {
		text->p++;
		text->len--;
	}
	word = (struct parlance_str){ text->p, 0 };
	while (text->len > 0 && is_word_byte(*text->p)) {
		text->p++;
		text->len--;
		word.len++;
	}
	return word;
}

static bool same(struct parlance_str a, const char *b)
{
	return a.len == strlen(b) && strncasecmp(a.p, b, a.len) == 0;
}

static bool has_word(struct parlance_str text, const char *wanted)
{
	struct parlance_str word;

	while ((word = next_word(&text)).len > 0) {
		if (same(word, wanted))
			return true;
	}
	return false;
}

static bool applies(const struct rule *rule, struct parlance_str text)
{
	size_t i;

	for (i = 0; i < COUNT(rule->words) && rule->words[i]; i++) {
		if (rule->command ? same(text, rule->words[i]) : has_word(text, rule->words[i]))
			return true;
	}
	return false;
}

static enum topic find_topic(struct parlance_str text)
{
	size_t i;

	for (i = 0; i < COUNT(rules); i++) {
		if (applies(&rules[i], text))
			return rules[i].topic;
	}
	if (text.len > 0 && text.p[text.len - 1] == '?')
		return TOPIC_QUESTION;
	return TOPIC_SUMMARY;
}

/* FNV-1a (Fowler, Noll and Vo). */
static uint64_t hash(struct parlance_str text)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	size_t i;

	for (i = 0; i < text.len; i++)
		h = (h ^ (unsigned char)text.p[i]) * UINT64_C(0x100000001b3);
	return h;
}

void talk_init(struct talk *talk, const struct parlance_prompt *prompt)
{
	struct parlance_str text = trimmed(last_text(prompt));

	*talk = (struct talk){
		.topic = find_topic(text),
		.seed = hash(text),
		.finish = PARLANCE_FINISH_STOP,
	};
	switch (talk->topic) {
	case TOPIC_BUSY:
		talk->finish = PARLANCE_FINISH_RATE_LIMITED;
		break;
	case TOPIC_ERROR:
		talk->finish = PARLANCE_FINISH_UNAVAILABLE;
		break;
	case TOPIC_CUT:
		talk->finish = PARLANCE_FINISH_CUT;
		break;
	case TOPIC_LENGTH:
		talk->finish = PARLANCE_FINISH_LENGTH;
		break;
	default:
		break;
	}
}

static void say_greeting(const struct talk *talk, FILE *out)
{
	static const char *const openings[] = { "Hello!", "Hi there!", "Good to see you!",
						"Hello, and welcome!" };

	fprintf(out,
		"%s I am the demonstration bot of this server. No artificial intelligence is "
		"involved: I follow a handful of rules and stream my answers word by word. Say "
		"**help** to see what I can do. 👋\n",
		openings[story_pick(talk->seed, 1, COUNT(openings))]);
}

static void say_help(FILE *out)
{
	fputs("Here is what I react to:\n\n"
	      "- **hello**: a greeting\n"
	      "- anything with a question mark: an answer, of sorts\n"
	      "- **list** or **plan**: a list in Markdown\n"
	      "- **table**: a table in Markdown\n"
	      "- **code**: a block of code\n"
	      "- **story**: a long story, good for trying out *Stop*\n"
	      "- any other text: a short summary of it\n\n"
	      "And, for testing, one of these alone in a message:\n\n"
	      "- `/endless`: an answer that never ends\n"
	      "- `/busy`: the provider is over its limit\n"
	      "- `/error`: the provider fails before it says a word\n"
	      "- `/cut`: the answer breaks off in the middle\n"
	      "- `/length`: the answer reaches its limit\n"
	      "- `/empty`: an answer without a word\n",
	      out);
}

static void say_list(const struct talk *talk, FILE *out)
{
	static const char *const items[] = {
		"Write down what *done* means before you begin.",
		"Take the smallest piece that is useful alone.",
		"Show it to somebody who will use it.",
		"Measure, then guess; never the other way round.",
		"Delete what turned out not to be needed.",
		"Sleep on the hard decision. The easy ones can be made now.",
		"Tell the others what you have learnt.",
	};
	size_t n = 4 + story_pick(talk->seed, 1, 3);
	size_t first = story_pick(talk->seed, 2, COUNT(items));
	size_t i;

	fputs("A plan that has served others well:\n\n", out);
	for (i = 0; i < n; i++)
		fprintf(out, "%zu. %s\n", i + 1, items[(first + i) % COUNT(items)]);
	fputs("\nShall we go through it step by step?\n", out);
}

static void say_table(FILE *out)
{
	fputs("| Transport | Works through proxies | Delay |\n"
	      "|---|---|---|\n"
	      "| WebSocket | mostly | lowest |\n"
	      "| Long polling | always | low |\n"
	      "| Carrier pigeon | see RFC 1149 | considerable |\n\n"
	      "This server speaks the first two.\n",
	      out);
}

static void say_code(const struct talk *talk, FILE *out)
{
	static const char *const samples[] = {
		"```c\n#include <stdio.h>\n\nint main(void)\n{\n\tputs(\"hello, world\");\n"
		"\treturn 0;\n}\n```\n",
		"```javascript\n"
		"const wait = (ms) => new Promise((done) => setTimeout(done, ms));\n\n"
		"await wait(40);\nconsole.log('one more word');\n```\n",
		"```python\ndef words(text):\n    for word in text.split():\n"
		"        yield word\n\n\n"
		"print(list(words('one word at a time')))\n```\n",
	};

	fprintf(out,
		"Certainly. Here is a small example:\n\n%s\nIt does little, but it does it "
		"reliably.\n",
		samples[story_pick(talk->seed, 1, COUNT(samples))]);
}

static void say_question(const struct talk *talk, FILE *out)
{
	static const char *const answers[] = {
		"Yes, as far as a bot without any knowledge can tell.",
		"Probably not, but it would make a good experiment.",
		"It depends, and the useful part is on what it depends.",
		"The short answer is 42. The long answer needs a real provider.",
	};

	fprintf(out,
		"Good question. %s\n\nFor answers with substance, load `provider_openai` "
		"in place of `provider_demo` and ask me again.\n",
		answers[story_pick(talk->seed, 1, COUNT(answers))]);
}

/* The text without what Markdown or a terminal would act on, cut between characters. */
static void quote(struct parlance_str text, FILE *out)
{
	size_t n = text.len < QUOTE_MAX ? text.len : QUOTE_MAX;
	size_t i;

	while (n > 0 && n < text.len && ((unsigned char)text.p[n] & 0xc0) == 0x80)
		n--;
	for (i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		fputc(c < 0x20 || c == 0x7f || c == '`' || c == '*' ? ' ' : c, out);
	}
	if (n < text.len)
		fputs("…", out);
}

static void say_summary(struct parlance_str text, FILE *out)
{
	struct parlance_str rest = text;
	struct parlance_str longest = { "", 0 };
	struct parlance_str word;
	size_t words = 0;

	while ((word = next_word(&rest)).len > 0) {
		words++;
		if (word.len > longest.len)
			longest = word;
	}
	if (words == 0) {
		fputs("I did not find a word in that. Say **help** to see what I can do.\n", out);
		return;
	}
	fputs("You said: “", out);
	quote(text, out);
	fprintf(out, "”\n\nThat is %zu word%s; the longest is “", words, words == 1 ? "" : "s");
	quote(longest, out);
	fputs("”. Say **help** to see what else I can do.\n", out);
}

static bool say_story(struct talk *talk, FILE *out)
{
	uint64_t part = talk->part;

	if (part == 0)
		story_begin(out, talk->seed);
	else if (part <= STORY_CHAPTERS || talk->topic == TOPIC_ENDLESS)
		story_chapter(out, talk->seed, part);
	else if (part == STORY_CHAPTERS + 1)
		story_end(out, talk->seed);
	else
		return false;
	return true;
}

/* What the short answers say, in one part. */
static void say(const struct talk *talk, const struct parlance_prompt *prompt, FILE *out)
{
	switch (talk->topic) {
	case TOPIC_HELP:
		say_help(out);
		break;
	case TOPIC_CODE:
		say_code(talk, out);
		break;
	case TOPIC_LIST:
		say_list(talk, out);
		break;
	case TOPIC_TABLE:
		say_table(out);
		break;
	case TOPIC_THANKS:
		fputs("You are welcome. It was a pleasure, in so far as rules have any.\n", out);
		break;
	case TOPIC_BYE:
		fputs("Goodbye! The conversation stays here until you come back.\n", out);
		break;
	case TOPIC_GREETING:
		say_greeting(talk, out);
		break;
	case TOPIC_QUESTION:
		say_question(talk, out);
		break;
	default:
		say_summary(trimmed(last_text(prompt)), out);
		break;
	}
}

bool talk_part(struct talk *talk, const struct parlance_prompt *prompt, FILE *out)
{
	bool more = talk->part == 0;

	switch (talk->topic) {
	case TOPIC_STORY:
	case TOPIC_ENDLESS:
		more = say_story(talk, out);
		break;
	case TOPIC_CUT:
	case TOPIC_LENGTH:
		more = talk->part < FAILING_PARTS && say_story(talk, out);
		break;
	case TOPIC_BUSY:
	case TOPIC_ERROR:
	case TOPIC_EMPTY:
		more = false;
		break;
	default:
		if (more)
			say(talk, prompt, out);
		break;
	}
	talk->part++;
	return more;
}

size_t talk_word(const char *p, size_t len)
{
	size_t n = 0;

	while (n < len && !isspace((unsigned char)p[n]))
		n++;
	while (n < len && isspace((unsigned char)p[n]))
		n++;
	return n;
}
