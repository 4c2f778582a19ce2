// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// What a server sends, checked against contrib/client/events.json: validate() for events and
// validateAck() for acknowledgements. Both throw when something is missing, mistyped or unknown, and
// return what they were given.

import { readFileSync } from 'node:fs';

const contract = JSON.parse(readFileSync(new URL('../../../contrib/client/events.json', import.meta.url), 'utf8'));
const codes = contract.types.ErrorCode.values;

export const clientEvents = Object.keys(contract.clientEvents);
export const serverEvents = Object.keys(contract.serverEvents);

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

function isObject(value) {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const PRIMITIVES = {
	string: (value) => typeof value === 'string',
	uuid: (value) => typeof value === 'string' && UUID.test(value),
	time: (value) => typeof value === 'string' && TIME.test(value) && !Number.isNaN(Date.parse(value)),
	integer: (value) => Number.isSafeInteger(value) && value >= 0,
	boolean: (value) => typeof value === 'boolean',
	object: isObject,
	true: (value) => value === true,
	null: (value) => value === null,
};

function fail(path, what) {
	throw new Error(`${path}: ${what}`);
}

// Texts of messages may be long.
function shown(value) {
	const text = JSON.stringify(value) ?? String(value);
	return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function checkNamed(path, value, name) {
	if (name.endsWith('[]')) {
		if (!Array.isArray(value)) fail(path, `is ${shown(value)}, not ${name}`);
		value.forEach((element, i) => checkNamed(`${path}[${i}]`, element, name.slice(0, -2)));
	} else if (Object.hasOwn(PRIMITIVES, name)) {
		if (!PRIMITIVES[name](value)) fail(path, `is ${shown(value)}, not ${name}`);
	} else if (contract.types[name].values) {
		if (typeof value !== 'string' || !Object.hasOwn(contract.types[name].values, value))
			fail(path, `is ${shown(value)}, not ${name}`);
	} else {
		checkFields(path, value, contract.types[name].fields);
	}
}

// null is the only alternative that the contract has.
function checkType(path, value, type) {
	const [name, ...others] = type.split(' | ');
	if (value === null && others.includes('null')) return;
	checkNamed(path, value, name);
}

function checkFields(path, value, fields) {
	if (!isObject(value)) fail(path, `is ${shown(value)}, not an object`);
	for (const [name, field] of Object.entries(fields)) {
		if (value[name] !== undefined) checkType(`${path}.${name}`, value[name], field.type);
		else if (!field.optional) fail(`${path}.${name}`, 'is missing');
	}
	for (const name of Object.keys(value))
		if (!Object.hasOwn(fields, name)) fail(`${path}.${name}`, 'is not in the contract');
}

function fieldsOf(shape) {
	return typeof shape === 'string' ? contract.types[shape].fields : (shape ?? {});
}

// What types cannot say of an error.
function checkError(path, error) {
	if (error.type !== error.code) fail(`${path}.type`, `is ${error.type}, and the code is ${error.code}`);
	if (error.retryable !== codes[error.code].retryable)
		fail(`${path}.retryable`, `is ${error.retryable}, which ${error.code} is not`);
}

/** A payload of a server's event. */
export function validate(name, payload) {
	if (!Object.hasOwn(contract.serverEvents, name)) fail(name, 'is no event of a server');
	const event = contract.serverEvents[name];
	const base = event.extends ?? event.payload;
	checkFields(name, payload, { ...fieldsOf(event.extends), ...fieldsOf(event.payload) });
	if (base === 'ChatError') checkError(name, payload);
	return payload;
}

/** What a client's event was answered by; for one that does not exist this is UNKNOWN_EVENT. */
export function validateAck(name, ack) {
	const known = Object.hasOwn(contract.clientEvents, name);
	const { ack: fields, failure, errors } = known ? contract.clientEvents[name] : { errors: ['UNKNOWN_EVENT'] };
	const path = `ack of ${name}`;
	const ok = { ok: { type: 'boolean' } };
	if (!isObject(ack)) fail(path, `is ${shown(ack)}, not an object`);
	if (ack.ok === true) {
		if (!known) fail(path, 'is ok, but there is no such event');
		checkFields(path, ack, { ...ok, ...fields });
		return ack;
	}
	checkFields(path, ack, { ...ok, error: { type: 'ChatError' }, ...failure });
	checkError(`${path}.error`, ack.error);
	if (!errors.includes(ack.error.code)) fail(`${path}.error.code`, `is ${ack.error.code}, not ${errors.join(', ')}`);
	if (ack.error.event !== name) fail(`${path}.error.event`, `is ${shown(ack.error.event)}`);
	return ack;
}
