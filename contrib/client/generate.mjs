#!/usr/bin/env node
// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Usage: generate.mjs [--check]
// Writes events.ts from events.json, both beside this file. With --check it writes nothing and fails
// when events.ts is not what it would write. README.md has the schema of events.json.

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('events.json', import.meta.url));
const target = fileURLToPath(new URL('events.ts', import.meta.url));

const PRIMITIVES = {
	string: 'string',
	uuid: 'Uuid',
	time: 'Time',
	integer: 'number',
	boolean: 'boolean',
	object: 'Record<string, unknown>',
	true: 'true',
	null: 'null',
};

// ---- the source, checked ----

const MEMBERS = {
	contract: ['copyright', 'license', 'version', 'types', 'handshake', 'clientEvents', 'serverEvents'],
	type: ['doc', 'fields', 'values'],
	value: ['doc', 'retryable'],
	field: ['type', 'optional', 'doc'],
	clientEvent: ['doc', 'argument', 'bare', 'ack', 'failure', 'errors', 'tells'],
	serverEvent: ['doc', 'to', 'family', 'twin', 'extends', 'payload'],
	handshake: ['auth', 'refusal'],
};

function fail(where, what) {
	throw new Error(`events.json: ${where}: ${what}`);
}

function checkMembers(where, object, kind) {
	for (const key of Object.keys(object))
		if (!MEMBERS[kind].includes(key)) fail(where, `"${key}" is none of ${MEMBERS[kind].join(', ')}`);
}

function checkDoc(where, object, key = 'doc') {
	if (!/^\S.*[.]\)?$/.test(object[key] ?? '')) fail(where, `"${key}" is no sentence`);
}

function checkType(contract, where, type) {
	for (const name of type.split(' | ')) {
		const base = name.replace(/\[\]$/, '');
		if (!Object.hasOwn(PRIMITIVES, base) && !Object.hasOwn(contract.types, base))
			fail(where, `there is no type "${base}"`);
	}
}

function checkFields(contract, where, fields) {
	for (const [name, field] of Object.entries(fields)) {
		checkMembers(`${where}.${name}`, field, 'field');
		checkDoc(`${where}.${name}`, field);
		checkType(contract, `${where}.${name}`, field.type);
		if (field.optional !== undefined && field.optional !== true)
			fail(`${where}.${name}`, '"optional" is true or absent');
	}
}

// A shape is the name of a type with fields, or an object of fields.
function checkShape(contract, where, shape) {
	if (typeof shape !== 'string') return checkFields(contract, where, shape);
	if (!contract.types[shape]?.fields) fail(where, `there is no type "${shape}" with fields`);
	return undefined;
}

function checkClientEvent(contract, name, event) {
	checkMembers(name, event, 'clientEvent');
	checkDoc(name, event);
	if (event.argument !== null) checkShape(contract, `${name}.argument`, event.argument);
	if (event.bare && !fieldsOf(contract, event.argument)[event.bare])
		fail(name, `the argument has no "${event.bare}"`);
	checkFields(contract, `${name}.ack`, event.ack);
	checkFields(contract, `${name}.failure`, event.failure ?? {});
	for (const code of event.errors)
		if (!Object.hasOwn(contract.types.ErrorCode.values, code)) fail(name, `there is no code "${code}"`);
	for (const told of event.tells)
		if (!Object.hasOwn(contract.serverEvents, told)) fail(name, `there is no server event "${told}"`);
}

function checkServerEvent(contract, name, event) {
	checkMembers(name, event, 'serverEvent');
	checkDoc(name, event);
	checkDoc(name, event, 'to');
	checkShape(contract, name, event.payload);
	if (event.extends) checkShape(contract, name, event.extends);
	if (event.twin && contract.serverEvents[event.twin]?.twin !== name) fail(name, 'its twin is not its twin');
	if (!event.twin !== !event.family) fail(name, '"twin" and "family" go together');
	if (event.family && !Object.hasOwn(contract.types.Aliases.values, event.family))
		fail(name, `there is no family "${event.family}"`);
}

function check(contract) {
	checkMembers('the whole', contract, 'contract');
	for (const [name, type] of Object.entries(contract.types)) {
		checkMembers(name, type, 'type');
		checkDoc(name, type);
		if (!type.fields === !type.values) fail(name, 'either "fields" or "values"');
		checkFields(contract, name, type.fields ?? {});
		for (const [value, about] of Object.entries(type.values ?? {})) {
			checkMembers(`${name}.${value}`, about, 'value');
			checkDoc(`${name}.${value}`, about);
		}
	}
	checkMembers('handshake', contract.handshake, 'handshake');
	for (const shape of Object.values(contract.handshake)) checkShape(contract, 'handshake', shape);
	for (const [name, event] of Object.entries(contract.clientEvents)) checkClientEvent(contract, name, event);
	for (const [name, event] of Object.entries(contract.serverEvents)) checkServerEvent(contract, name, event);
}

function fieldsOf(contract, shape) {
	return typeof shape === 'string' ? contract.types[shape].fields : (shape ?? {});
}

// ---- TypeScript ----

const WIDTH = 100;

// "join:conversation" is JoinConversation.
function pascal(name) {
	return name.replace(/(^|[:_])([a-z])/g, (all, before, letter) => letter.toUpperCase());
}

function quoted(text) {
	return JSON.stringify(text);
}

function wrap(text, width) {
	const lines = [];
	let line = '';
	for (const word of text.split(' ')) {
		if (line && line.length + 1 + word.length > width) {
			lines.push(line);
			line = '';
		}
		line += (line ? ' ' : '') + word;
	}
	return [...lines, line];
}

// A doc comment; each paragraph is one of `texts`.
function comment(indent, ...texts) {
	const lines = texts.flatMap((text) => {
		const [first, ...rest] = wrap(text, WIDTH - 8 * indent.length - 4);
		return [first, ...rest.map((line) => (text.startsWith('- ') ? `  ${line}` : line))];
	});
	if (lines.length === 1 && 8 * indent.length + lines[0].length + 7 <= WIDTH) return `${indent}/** ${lines[0]} */\n`;
	return `${indent}/**\n${lines.map((line) => `${indent} * ${line}\n`).join('')}${indent} */\n`;
}

function typeText(type) {
	return type
		.split(' | ')
		.map((name) => {
			const base = name.replace(/\[\]$/, '');
			return (PRIMITIVES[base] ?? base) + name.slice(base.length);
		})
		.join(' | ');
}

function fieldLines(fields) {
	return Object.entries(fields)
		.map(([name, { doc, type, optional }]) => {
			const declared = optional ? `${name}?` : name;
			return `${comment('\t', doc)}\t${declared}: ${typeText(type)};\n`;
		})
		.join('');
}

function interfaceText(name, head, fields, base) {
	const declared = base ? `${name} extends ${base}` : name;
	return `${comment('', ...head)}export interface ${declared} {\n${fieldLines(fields)}}\n`;
}

function unionText(name, values) {
	const line = `export type ${name} = ${values.join(' | ')};\n`;
	if (line.length <= WIDTH) return line;
	return `export type ${name} =\n${values.map((value) => `\t| ${value}`).join('\n')};\n`;
}

function typeDeclaration(name, type) {
	if (type.fields) return interfaceText(name, [type.doc], type.fields);
	const values = Object.entries(type.values).map(([value, about]) => `- ${value}: ${about.doc}`);
	return comment('', type.doc, ...values) + unionText(name, Object.keys(type.values).map(quoted));
}

// The name of a shape, and its declaration when it has none yet.
function shapeText(shape, name, head, base) {
	if (typeof shape === 'string') return [shape, ''];
	return [name, interfaceText(name, head, shape, base)];
}

function parameterText(parameters) {
	return parameters.length < 2 ? parameters.join('') : `\n\t\t${parameters.join(',\n\t\t')},\n\t`;
}

function clientEventText(name, event) {
	const stem = pascal(name);
	const codes = `${stem}ErrorCode`;
	const texts = [
		comment('', `The errors of ${name}.`) + unionText(codes, event.errors.map(quoted)),
	];
	let argument = '';
	let declaration;
	if (event.argument !== null) {
		[argument, declaration] = shapeText(event.argument, `${stem}Argument`, [`The argument of ${name}.`]);
		texts.push(declaration);
	}
	let ok = 'Ok';
	if (Object.keys(event.ack).length) {
		ok = `${stem}Ack`;
		texts.push(interfaceText(ok, [`The acknowledgement of ${name}.`], event.ack, 'Ok'));
	}
	let failure = `Failure<${codes}>`;
	if (event.failure) {
		const head = [`The acknowledgement of ${name} when it fails.`];
		texts.push(interfaceText(`${stem}Failure`, head, event.failure, failure));
		failure = `${stem}Failure`;
	}
	texts.push(comment('', `What ${name} is answered by.`) + unionText(`${stem}Answer`, [ok, failure]));
	const parameters = [];
	if (argument) parameters.push(`argument: ${argument}${event.bare ? ' | Uuid' : ''}`);
	parameters.push(`ack: (answer: ${stem}Answer) => void`);
	const head = [event.doc];
	if (event.bare) head.push(`The argument may be the bare ${event.bare}.`);
	head.push(`Errors: ${event.errors.join(', ')}.`);
	if (event.tells.length) head.push(`May be heard of as: ${event.tells.join(', ')}.`);
	return [texts.filter(Boolean).join('\n'), `${comment('\t', ...head)}\t${quoted(name)}: (${parameterText(parameters)}) => void;\n`];
}

function serverEventText(name, event) {
	const [type, text] = shapeText(event.payload, `${pascal(name)}Event`, [`What ${name} tells.`], event.extends);
	const head = [event.doc, `To: ${event.to}`];
	if (event.twin) head.push(`Also named ${event.twin}; the option aliases of ConnectAuth chooses.`);
	return [text, `${comment('\t', ...head)}\t${quoted(name)}: (payload: ${type}) => void;\n`];
}

function eventMap(name, head, entries) {
	return `${comment('', ...head)}export interface ${name} {\n${entries.join('')}}\n`;
}

function generate(contract) {
	const client = Object.entries(contract.clientEvents).map(([name, event]) => clientEventText(name, event));
	const server = Object.entries(contract.serverEvents).map(([name, event]) => serverEventText(name, event));
	const parts = [
		'// SPDX-License-Identifier: MIT\n// Copyright the Parlance authors\n//\n' +
			'// Generated by generate.mjs from events.json; change that.\n',
		`${comment('', 'A UUID in lower case.')}export type Uuid = string;\n`,
		`${comment('', 'A time in UTC: YYYY-MM-DDTHH:MM:SS.mmmZ.')}export type Time = string;\n`,
		...Object.entries(contract.types).map(([name, type]) => typeDeclaration(name, type)),
		`${comment('', 'The acknowledgement of an event that has nothing to tell.')}export interface Ok {\n\tok: true;\n}\n`,
		`${comment('', 'The acknowledgement of an event that failed.')}` +
			'export interface Failure<Code extends ErrorCode = ErrorCode> {\n\tok: false;\n' +
			'\terror: ChatError & { code: Code; type: Code };\n}\n',
		...client.map(([text]) => text),
		...server.map(([text]) => text),
		eventMap(
			'AcknowledgedEvents',
			[
				'What clients may send, always with an acknowledgement: a Socket<ServerToClientEvents, ' +
					'AcknowledgedEvents> knows the answers of emitWithAck.',
			],
			client.map(([, entry]) => entry),
		),
		eventMap(
			'ServerToClientEvents',
			['What clients hear.'],
			server.map(([, entry]) => entry),
		),
		'type AckOptional<Send> = Send extends (...parameters: [...infer Argument, infer Ack]) => void\n' +
			'\t? (...parameters: Argument | [...Argument, ack: Ack]) => void\n\t: never;\n',
		comment('', 'What clients may send, with an acknowledgement or without one: the events of a ' +
			'Socket<ServerToClientEvents, ClientToServerEvents>.') +
			'export type ClientToServerEvents = {\n' +
			'\t[Event in keyof AcknowledgedEvents]: AckOptional<AcknowledgedEvents[Event]>;\n};\n',
	];
	return parts.filter(Boolean).join('\n');
}

// ---- main ----

function main(args) {
	if (args.length > 1 || (args.length && args[0] !== '--check')) {
		console.error('usage: generate.mjs [--check]');
		return 2;
	}
	const contract = JSON.parse(readFileSync(source, 'utf8'));
	check(contract);
	const text = generate(contract);
	if (!args.length) {
		writeFileSync(target, text);
		return 0;
	}
	if (readFileSync(target, 'utf8') === text) return 0;
	console.error('events.ts is not what events.json says: run contrib/client/generate.mjs');
	return 1;
}

try {
	process.exitCode = main(process.argv.slice(2));
} catch (error) {
	console.error(`generate.mjs: ${error.message}`);
	process.exitCode = 1;
}
