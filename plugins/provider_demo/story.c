/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * A story of any length: sentences picked by the seed. All that is picked has a place of its own,
 * so a chapter reads the same whether or not the one before was told.
 */
#include "story.h"

#include <inttypes.h>

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define PICK(list, seed, at) ((list)[story_pick((seed), (at), COUNT(list))])
#define PICKS_PER_CHAPTER 16

enum { PICK_HERO = 1, PICK_PLACE, PICK_GOAL, PICK_FRIEND, FIRST_CHAPTER_PICK };

static const char *const heroes[] = { "Ada", "Mateo", "Ingrid", "Kofi", "Mei", "Zoë" };
static const char *const friends[] = {
	"a retired ferry pilot called Tomás", "a librarian who whispered even outdoors",
	"a clockmaker with opinions about rivers", "a goat, who was good at hills",
	"a radio that answered back",
};
static const char *const places[] = {
	"a harbour town where the fog kept office hours",
	"a village at the end of a railway line that nobody had finished",
	"an island that the maps agreed on only roughly",
	"a city of bridges, most of which led somewhere",
};
static const char *const goals[] = {
	"the lighthouse that had stopped blinking", "a letter posted forty years too early",
	"the missing page of the town's logbook", "the bell that rang on its own at low tide",
};

static const char *const weathers[] = {
	"The morning came in grey and undecided.",
	"It had rained all night, and the streets shone.",
	"The wind had turned, as it does when something is about to be found.",
	"By noon the sun had made up its mind.", "Evening arrived early and sat down to wait.",
};
static const char *const finds[] = {
	"a key that fitted no door in the street", "a map drawn on the back of a grocery list",
	"a drawer full of stopped watches", "footprints that began in the middle of the square",
	"a note that said only “not yet”", "a photograph of tomorrow's market",
};
static const char *const talks[] = {
	"“That is either very good news or a misprint.”",
	"“We should write this down before it changes.”",
	"“I have seen this before, but the other way round.”",
	"“Nobody hides a thing this well unless they want it found.”",
	"“Let us try the simple explanation first, and keep the other one warm.”",
};
static const char *const efforts[] = {
	"They asked at the bakery, at the post office, and at the bakery again.",
	"They counted the steps of the old stair twice and got two answers.",
	"They followed the canal until it pretended to be a lake.",
	"They waited under the arcade and listened to the gutters talk.",
	"They took the long way, which turned out to be the only one.",
};
static const char *const turns[] = {
	"And then, quite without fuss, a light went on in the empty house.",
	"That was when the tide began to run backwards.",
	"It was only on the way home that the two halves fell together.",
	"The answer, when it came, was smaller than the question had been.",
	"Behind them, somebody politely closed a door.",
};

/* The finalizer of SplitMix64 (Steele, Lea and Flood, 2014). */
uint64_t story_pick(uint64_t seed, uint64_t at, uint64_t n)
{
	uint64_t z = seed + at * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	return z % n;
}

void story_begin(FILE *out, uint64_t seed)
{
	const char *hero = PICK(heroes, seed, PICK_HERO);
	const char *goal = PICK(goals, seed, PICK_GOAL);

	fprintf(out, "# %s and %s\n\n", hero, goal);
	fprintf(out, "In %s there lived somebody called %s, who had promised to find %s. ",
		PICK(places, seed, PICK_PLACE), hero, goal);
	fprintf(out, "It helped to have a companion: %s.\n\n", PICK(friends, seed, PICK_FRIEND));
}

void story_chapter(FILE *out, uint64_t seed, uint64_t number)
{
	uint64_t at = FIRST_CHAPTER_PICK + number * PICKS_PER_CHAPTER;
	const char *hero = PICK(heroes, seed, PICK_HERO);

	fprintf(out, "## Chapter %" PRIu64 "\n\n", number);
	fprintf(out, "%s %s had slept badly and was up first. ", PICK(weathers, seed, at), hero);
	fprintf(out, "On the doorstep lay %s. %s said %s, and meant it.\n\n",
		PICK(finds, seed, at + 1), PICK(talks, seed, at + 2), hero);
	fprintf(out, "%s %s ", PICK(efforts, seed, at + 3), PICK(efforts, seed, at + 4));
	fprintf(out, "What they brought back was %s. %s\n\n", PICK(finds, seed, at + 5),
		PICK(turns, seed, at + 6));
}

void story_end(FILE *out, uint64_t seed)
{
	const char *hero = PICK(heroes, seed, PICK_HERO);

	fprintf(out,
		"In the end %s found %s, in the last place, as the rule requires. It was "
		"put back where it belonged, and everybody went in to supper.\n",
		hero, PICK(goals, seed, PICK_GOAL));
}
