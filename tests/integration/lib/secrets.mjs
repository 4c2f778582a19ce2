// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// What no program may write into its log: tokens, keys, and the texts of users. The helpers that hand
// them out tell of them here (secret, secretsOf), and Program looks for them in every line of a daemon.
//
// They are known by words: runs of the letters of base64url, by how they begin, since a log cuts what
// is long and escapes what is odd. A word that might be found in a log for another reason (an id, a
// plain word) is none.

const WORD = /[A-Za-z0-9_-]{12,}/g;
const SIZE = 12;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TELLING = /^(?=.*\d)(?=.*[A-Za-z])|.{40}/;
// The members of an event's argument that are the users' own, with all that is in them.
const PRIVATE = new Set(['content', 'metadata', 'systemPrompt', 'title', 'token']);
// Of each message to the fake AI service.
const MARKS = ['[[mock-'];

const beginnings = new Set();

// Returns the text.
export function secret(text) {
	for (const [word] of text.matchAll(WORD))
		if (TELLING.test(word) && !UUID.test(word)) beginnings.add(word.slice(0, SIZE));
	return text;
}

function all(value) {
	if (typeof value === 'string') secret(value);
	else if (typeof value === 'object' && value !== null) Object.values(value).forEach(all);
}

// Those in what is sent.
export function secretsOf(value) {
	if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return;
	for (const [name, inner] of Object.entries(value))
		if (PRIVATE.has(name)) all(inner);
		else secretsOf(inner);
}

// The beginning of a secret that is in the line, or null.
export function leak(line) {
	const mark = MARKS.find((text) => line.includes(text));
	if (mark) return mark;
	for (const [word] of line.matchAll(WORD))
		for (let i = 0; i + SIZE <= word.length; i++)
			if (beginnings.has(word.slice(i, i + SIZE))) return word.slice(i, i + SIZE);
	return null;
}
