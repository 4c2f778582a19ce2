// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// parlancectl from outside, with a PostgreSQL of its own. PARLANCECTL names the program, in its build
// folder, for the plugins are taken from there too.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Postgres } from './lib/postgres.mjs';
import { until } from './lib/util.mjs';

const program = process.env.PARLANCECTL && resolve(process.env.PARLANCECTL);
if (!program) throw new Error('PARLANCECTL is not set: set it to the path of parlancectl');
const sql = resolve(fileURLToPath(import.meta.url), '../../../sql');
const SECRET = 'a secret of thirty-two bytes, or more';

// Without the environment's own secrets and addresses.
function ctl(args, env = {}) {
	const { DATABASE_URL, JWT_ACCESS_SECRET, ...clean } = process.env;
	for (const name of Object.keys(clean)) if (name.startsWith('PG')) delete clean[name];
	return new Promise((done) => {
		execFile(program, args, { env: { ...clean, ...env } }, (error, stdout, stderr) =>
			done({ status: error ? error.code : 0, stdout, stderr }),
		);
	});
}

async function ok(args, env) {
	const result = await ctl(args, env);
	assert.equal(result.status, 0, result.stderr);
	return result.stdout;
}

async function fails(status, pattern, args, env) {
	const result = await ctl(args, env);
	assert.equal(result.status, status, `${result.stdout}${result.stderr}`);
	assert.match(result.stderr, pattern);
	return result;
}

const folder = mkdtempSync(join(tmpdir(), 'parlance-ctl-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('commands and options', async () => {
	assert.match(await ok(['--version']), /^parlancectl \d/);
	assert.match(await ok(['--help']), /migrate[^]*token/);
	assert.match(await ok(['migrate', '--help']), /--dry-run/);
	assert.match(await ok(['token', '--help']), /--expires/);
	await fails(2, /usage/, []);
	await fails(2, /no command "tokens"/, ['tokens']);
	await fails(2, /--help/, ['migrate', '--nothing']);
	await fails(2, /--help/, ['migrate', 'more']);
	await fails(2, /--help/, ['migrate', '--status', '--dry-run']);
	for (const n of ['0', '-1', '1x', '', '1000'])
		await fails(2, /no version/, ['migrate', '--to', n]);
});

describe('token', () => {
	const env = { JWT_ACCESS_SECRET: SECRET };

	function read(stdout, secret = SECRET, hash = 'sha256') {
		assert.match(stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
		const [head, body, mac] = stdout.trim().split('.');
		assert.equal(createHmac(hash, secret).update(`${head}.${body}`).digest('base64url'), mac);
		const json = (part) => JSON.parse(Buffer.from(part, 'base64url'));
		return { head: json(head), claims: json(body) };
	}

	test('claims', async () => {
		const begin = Math.floor(Date.now() / 1000);
		const result = await ctl(['token', '--user', 'ü"1', '--claim', 'role=a=b', '--claim',
			'aud:=["x", 1]', '--claim', 'none:=null', '--claim', 'n=1'], env);
		assert.equal(result.status, 0);
		assert.match(result.stderr, /for development/);
		assert.doesNotMatch(result.stderr, /warning/);
		const { head, claims } = read(result.stdout);
		assert.deepEqual(head, { alg: 'HS256', typ: 'JWT' });
		const { iat, exp, ...rest } = claims;
		assert.deepEqual(rest, { sub: 'ü"1', userId: 'ü"1', role: 'a=b', aud: ['x', 1], none: null,
			n: '1' });
		assert.ok(iat >= begin && iat <= Date.now() / 1000);
		assert.equal(exp, iat + 86400);
	});

	test('algorithms and life', async () => {
		for (const bits of [256, 384, 512]) {
			const out = await ok(['token', '-u', 'x', '--algorithm', `HS${bits}`, '--expires', '-5'], env);
			const { head, claims } = read(out, SECRET, `sha${bits}`);
			assert.equal(head.alg, `HS${bits}`);
			assert.equal(claims.exp, claims.iat - 5);
		}
		await fails(2, /HS512/, ['token', '-u', 'x', '--algorithm', 'none'], env);
		for (const s of ['0', 'x', '', '1d', '99999999999', '99999999999999999999999'])
			await fails(2, /--expires/, ['token', '-u', 'x', '--expires', s], env);
	});

	test('secrets', async () => {
		const file = join(folder, 'secret');
		writeFileSync(file, `${SECRET}\n\n`);
		read(await ok(['token', '-u', 'x', '--secret-file', file]), `${SECRET}\n`);
		writeFileSync(file, 'from the file');
		const short = await fails(0, /13 bytes; HS256 wants 32/, ['token', '-u', 'x', '--secret-file', file], env);
		read(short.stdout, 'from the file');

		const none = /no secret/;
		assert.equal((await fails(1, none, ['token', '-u', 'x'])).stdout, '');
		await fails(1, none, ['token', '-u', 'x'], { JWT_ACCESS_SECRET: '' });
		writeFileSync(file, '\n');
		await fails(1, /empty/, ['token', '-u', 'x', '--secret-file', file]);
		writeFileSync(file, '-----BEGIN PUBLIC KEY-----\n');
		await fails(1, /PEM/, ['token', '-u', 'x', '--secret-file', file]);
		writeFileSync(file, Buffer.alloc(65537, 'x'));
		await fails(1, /size limit/, ['token', '-u', 'x', '--secret-file', file]);
		await fails(1, /No such file/, ['token', '-u', 'x', '--secret-file', `${file}.none`]);
		await fails(1, /directory/, ['token', '-u', 'x', '--secret-file', folder]);
		await fails(2, /--help/, ['token', '-u', 'x', '--secret-file', file, '-c', file]);
	});

	test('malformed', async () => {
		await fails(2, /--user is missing/, ['token'], env);
		for (const user of ['', 'x'.repeat(256)])
			await fails(2, /1 to 255/, ['token', '-u', user], env);
		for (const claim of ['x', '=x', ':=1', 'x:=', 'x:={', 'x:=1 2'])
			await fails(2, /--claim/, ['token', '-u', 'x', '--claim', claim], env);
		for (const claim of ['sub', 'userId', 'iat', 'exp'])
			await fails(2, /comes from/, ['token', '-u', 'x', '--claim', `${claim}=1`], env);
		await fails(2, /twice/, ['token', '-u', 'x', '--claim', 'a=1', '--claim', 'a:=1'], env);
	});
});

describe('migrate', () => {
	const LOCK = 5792036405591827301n;
	let pg;
	let folders = 0;

	before(async () => {
		pg = await Postgres.start();
	});
	after(() => pg?.stop());

	// A migration as sql/README.md describes it.
	function migration(version, name, body = '') {
		const first = version === 1;
		return `BEGIN; SET LOCAL lock_timeout = '10s';
DO $migration$ BEGIN
PERFORM pg_advisory_xact_lock(${LOCK});
${first ? `IF to_regclass('parlance.schema_version') IS NOT NULL THEN
RAISE NOTICE 'parlance: ${name} is applied already'; RETURN; END IF;
CREATE SCHEMA parlance;
CREATE TABLE parlance.schema_version (version int PRIMARY KEY, name text NOT NULL, sha256 text,
applied_at timestamptz NOT NULL DEFAULT now(), applied_by text NOT NULL DEFAULT session_user);`
		: `IF EXISTS (SELECT FROM parlance.schema_version WHERE version = ${version}) THEN
RAISE NOTICE 'parlance: ${name} is applied already'; RETURN; END IF;`}
${body}
INSERT INTO parlance.schema_version (version, name, sha256)
VALUES (${version}, '${name}', nullif(current_setting('parlance.migration_sha256', true), ''));
END $migration$;
COMMIT;\n`;
	}

	function make(files) {
		const path = join(folder, `sql${++folders}`);
		mkdirSync(path);
		for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
		return path;
	}

	const one = migration(1, '001_one', 'CREATE TABLE parlance.one (x int);');
	const two = migration(2, '002_two', 'CREATE TABLE parlance.two (x int);');
	const three = migration(3, '003_three', 'CREATE TABLE parlance.three (x int);');
	const all = { '001_one.sql': one, '002_two.sql': two, '003_three.sql': three,
		'README.md': 'x', 'roles.sql': 'x' };
	const sha = (text) => createHash('sha256').update(text).digest('hex');
	const versions = (dsn) => pg.query(dsn, 'SELECT version, name, sha256 FROM parlance.schema_version ORDER BY 1');

	test('from nothing, step by step, and again', async () => {
		const dsn = await pg.database();
		const dir = make(all);
		const run = (...more) => ok(['migrate', '-d', dsn, '--dir', dir, ...more]);
		const status = () => ctl(['migrate', '-d', dsn, '--dir', dir, '--status']);

		assert.match(await run('--dry-run'), /001_one: would be applied\n002_two[^]*003_three/);
		assert.deepEqual(await pg.query(dsn, "SELECT to_regclass('parlance.one')"), []);
		let listed = await status();
		assert.equal(listed.status, 5);
		assert.match(listed.stdout, /^001_one +pending\n002_two +pending\n003_three +pending\n$/);

		assert.match(await run('--to', '2'), /^001_one: applied \(\d+ ms\)\n002_two: applied \(\d+ ms\)\n$/);
		assert.deepEqual(await versions(dsn), [['1', '001_one', sha(one)], ['2', '002_two', sha(two)]]);
		listed = await status();
		assert.equal(listed.status, 5);
		assert.match(listed.stdout, /^001_one +applied \S+Z by postgres\n002_two.*\n003_three +pending\n$/);

		assert.match(await run(), /^003_three: applied/);
		assert.match(await run(), /^nothing to do: version 003/);
		assert.equal((await status()).status, 0);
		await fails(4, /no way back to 002/, ['migrate', '-d', dsn, '--dir', dir, '--to', '2']);
		await fails(2, /the last migration .* is 003/, ['migrate', '-d', dsn, '--dir', dir, '--to', '4']);
	});

	test('where the database is', async () => {
		const dsn = await pg.database();
		const dir = make({ '001_one.sql': one });
		const name = /dbname=(\w+)/.exec(dsn)[1];
		const uri = `postgresql://postgres@/${name}?host=${encodeURIComponent(pg.folder)}`;
		const nowhere = { DATABASE_URL: `host=${folder} dbname=none` };
		await fails(1, /cannot connect/, ['migrate', '--dir', dir], nowhere);
		await fails(5, /^$/, ['migrate', '--dir', dir, '--status', '-d', uri], nowhere);
		await fails(5, /^$/, ['migrate', '--dir', dir, '--status'], { DATABASE_URL: uri });
		await fails(5, /^$/, ['migrate', '--dir', dir, '--status'],
			{ PGHOST: pg.folder, PGUSER: 'postgres', PGDATABASE: name });
	});

	// Another section may be wrong, and other plugins may be missing.
	test('the configuration', async () => {
		const plugins = join(folder, 'plugins');
		mkdirSync(plugins, { mode: 0o755 });
		for (const name of ['auth_jwt.so', 'storage_pgsql.so']) {
			copyFileSync(join(dirname(program), '.libs', name), join(plugins, name));
			chmodSync(join(plugins, name), 0o644);
		}
		const dsn = await pg.database();
		const dir = make({ '001_one.sql': one });
		const secret = join(folder, 'jwt');
		writeFileSync(secret, `${SECRET}\n`);
		const conf = join(folder, 'test.conf');
		const write = (jwt, storage, load = 'auth_jwt, storage_pgsql, none_such') =>
			writeFileSync(conf, `[plugins]\nload = ${load}\ndirectory = ${plugins}\nroot_only = no\n[engine]\nx = 1\n` +
				`[auth_jwt]\n${jwt}\n[storage_pgsql]\n${storage}\n`);
		const mac = (token, key) => {
			const [head, body, sign] = token.trim().split('.');
			return createHmac('sha256', key).update(`${head}.${body}`).digest('base64url') === sign;
		};
		const env = { DATABASE_URL: 'host=/nowhere', JWT_ACCESS_SECRET: 'of the environment' };

		write(`key_file = ${secret}`, `dsn = ${dsn}`);
		await ok(['migrate', '-c', conf, '--dir', dir]);
		assert.ok(mac(await ok(['token', '-u', 'x', '-c', conf]), SECRET));
		write('secret = of the file', `dsn = ${dsn}`);
		assert.match(await ok(['migrate', '-c', conf, '--dir', dir], env), /nothing to do/);
		assert.ok(mac(await ok(['token', '-u', 'x', '-c', conf], env), 'of the file'));
		write('', '');
		assert.ok(mac(await ok(['token', '-u', 'x', '-c', conf], env), 'of the environment'));
		await fails(1, /nowhere/, ['migrate', '-c', conf, '--dir', dir], env);
		write('', '', 'none_such');
		await fails(1, /no secret/, ['token', '-u', 'x', '-c', conf]);
		assert.ok(mac(await ok(['token', '-u', 'x', '-c', conf], env), 'of the environment'));

		write('secrt = hush', 'dns = hush');
		for (const args of [['token', '-u', 'x'], ['migrate', '--dir', dir]]) {
			const { stderr } = await fails(1, /did you mean "(secret|dsn)"/, [...args, '-c', conf]);
			assert.doesNotMatch(stderr, /hush/);
			await fails(1, /No such file/, [...args, '-c', `${conf}.none`]);
		}
		write('key_file = credential:x', 'password_file = credential:x');
		await fails(1, /only the service has/, ['token', '-u', 'x', '-c', conf]);
		await fails(1, /only the service has/, ['migrate', '--dir', dir, '-c', conf]);
	});

	test('no password comes to the screen', async () => {
		const dir = make({ '001_one.sql': one });
		for (const dsn of [
			'postgresql://u:p/hush@127.0.0.1:1/db',
			'postgresql://u:p@hush@127.0.0.1:1/db',
			'postgresql://u:p@hush/w@127.0.0.1:1/db',
			'postgresql://u:hush/w?x@127.0.0.1:1/db',
			'postgresql://u:hush/w?host=x@127.0.0.1:1/db',
			'postgresql://u:hush@127.0.0.1:1/db?hush',
			'postgresql://u:hush@127.0.0.1:1/db',
			'postgresql://u:p?hush@127.0.0.1:1/db',
			'postgres://u@127.0.0.1:1/db?password=hush',
			'host=127.0.0.1 port=1 password=my hush',
			'host=127.0.0.1 port=1 password=hush',
			"host=127.0.0.1 port=1 password='hush",
			'hush=hush',
		]) {
			const { stdout, stderr } = await fails(1, /./, ['migrate', '-d', dsn, '--dir', dir]);
			assert.doesNotMatch(stdout + stderr, /hush/, dsn);
		}
	});

	test('a file that was changed, renamed, or is gone', async () => {
		const dsn = await pg.database();
		const dir = make(all);
		const run = ['migrate', '-d', dsn, '--dir', dir];
		await ok([...run, '--to', '2']);
		writeFileSync(join(dir, '002_two.sql'), `${two}-- later\n`);
		await fails(4, /002_two\.sql is not what was applied/, run);
		const listed = await fails(4, /002_two/, [...run, '--status']);
		assert.match(listed.stdout, /002_two +CHANGED/);
		assert.equal((await versions(dsn)).length, 2);
		writeFileSync(join(dir, '002_two.sql'), two);
		await ok(run);

		rmSync(join(dir, '003_three.sql'));
		const newer = await fails(4, /003_three, which .* newer than this parlancectl/, run);
		assert.equal(newer.stdout, '');
		assert.match((await ctl([...run, '--status'])).stdout, /003_three +UNKNOWN/);
		await pg.query(dsn, 'DELETE FROM parlance.schema_version WHERE version = 2');
		await fails(4, /003_three and not migration 002 before it/, run);
	});

	test('what psql applied gets its checksum', async () => {
		const dsn = await pg.database();
		const dir = make(all);
		const run = ['migrate', '-d', dsn, '--dir', dir];
		await pg.file(dsn, join(dir, '001_one.sql'));
		assert.deepEqual(await versions(dsn), [['1', '001_one', '']]);
		assert.match((await ctl([...run, '--status'])).stdout, /001_one.*no checksum/);
		assert.match(await ok([...run, '--dry-run']), /001_one: would get its checksum/);
		assert.deepEqual(await versions(dsn), [['1', '001_one', '']]);
		assert.match(await ok([...run, '--to', '1']), /001_one: applied by psql/);
		assert.deepEqual(await versions(dsn), [['1', '001_one', sha(one)]]);

		await pg.query(dsn, "UPDATE parlance.schema_version SET sha256 = NULL, name = '001_other'");
		await fails(4, /001 is 001_other in the database, and 001_one/, run);
	});

	test('a migration that fails changes nothing', async () => {
		const dsn = await pg.database();
		const bad = `-- é\n${migration(2, '002_two', 'CREATE TABLE parlance.two (x int); PERFORM 1 / 0;')}`;
		const dir = make({ ...all, '002_two.sql': bad });
		const run = ['migrate', '-d', dsn, '--dir', dir];
		const failed = await fails(1, /002_two: division by zero \(22012\)/, run);
		assert.match(failed.stdout, /^001_one: applied[^\n]*\n$/);
		assert.deepEqual(await pg.query(dsn, "SELECT to_regclass('parlance.two')"), []);

		writeFileSync(join(dir, '002_two.sql'), '-- é\nBEGIN;\nSELECT nothing;\nCOMMIT;\n');
		await fails(1, /002_two, line 3: column "nothing"/, run);
		writeFileSync(join(dir, '002_two.sql'), 'SELECT 1;\n');
		await fails(4, /002_two: ended without a row/, run);
		writeFileSync(join(dir, '002_two.sql'), two.replace('COMMIT;', ''));
		await fails(4, /COMMIT is missing/, run);
		assert.equal((await versions(dsn)).length, 1);
		writeFileSync(join(dir, '002_two.sql'), two);
		await ok(run);
	});

	// Both have looked, and found nothing, before either may begin.
	test('two at once', async () => {
		const dsn = await pg.database();
		const dir = make(all);
		const release = await pg.hold(dsn, `SELECT pg_advisory_xact_lock(${LOCK})`);
		const both = [1, 2].map(() => ok(['migrate', '-d', dsn, '--dir', dir]));
		await until(async () => {
			const waiting = await pg.query(dsn,
				"SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
			return waiting.length === 2;
		}, 'both wait for the lock');
		await release();
		const said = (await Promise.all(both)).join('');
		assert.equal((await versions(dsn)).length, 3);
		assert.equal(said.match(/001_one: applied \(/g).length, 1, said);
		assert.equal(said.match(/001_one: applied meanwhile/g).length, 1, said);
	});

	test('a lock that is held', async () => {
		const dsn = await pg.database();
		const dir = make({ '001_one.sql': one.replace("'10s'", "'100ms'") });
		const release = await pg.hold(dsn, `SELECT pg_advisory_xact_lock(${LOCK})`);
		await fails(3, /another migration is running/, ['migrate', '-d', dsn, '--dir', dir]);
		await release();
		await ok(['migrate', '-d', dsn, '--dir', dir]);
	});

	test('settings of a role do not cut a migration', async () => {
		const dsn = await pg.database();
		const dir = make({ '001_one.sql': migration(1, '001_one', 'PERFORM pg_sleep(0.05);') });
		await pg.query(dsn, 'CREATE ROLE hasty LOGIN SUPERUSER; ALTER ROLE hasty SET statement_timeout = 10;' +
			"ALTER ROLE hasty SET client_min_messages = 'error'");
		await ok(['migrate', '-d', dsn.replace('user=postgres', 'user=hasty'), '--dir', dir]);
	});

	test('databases that will not do', async () => {
		const dir = make(all);
		const latin = await pg.database("ENCODING 'LATIN1' TEMPLATE template0");
		await fails(1, /encoded in LATIN1/, ['migrate', '-d', latin, '--dir', dir]);
		const dsn = await pg.database();
		await pg.query(dsn, 'CREATE ROLE stranger LOGIN');
		const stranger = dsn.replace('user=postgres', 'user=stranger');
		await fails(1, /owner of the schema/, ['migrate', '-d', stranger, '--dir', dir]);
		await ok(['migrate', '-d', dsn, '--dir', dir]);
		await fails(1, /owner of the schema/, ['migrate', '-d', stranger, '--dir', dir]);
		await fails(1, /does not exist/, ['migrate', '-d', pg.dsn('nothing'), '--dir', dir]);
	});

	test('folders that will not do', async () => {
		const dsn = await pg.database();
		const cases = [
			[{ 'roles.sql': 'x' }, /no migrations here/],
			[{ '002_two.sql': two }, /migration 001 is missing, and 002_two\.sql/],
			[{ '001_one.sql': one, '003_three.sql': three }, /migration 002 is missing/],
			[{ '001_one.sql': one, '001_two.sql': two }, /same number/],
			[{ '001-one.sql': one }, /no name of a migration/],
			[{ '01_one.sql': one }, /no name of a migration/],
			[{ '0001_one.sql': one }, /no name of a migration/],
			[{ '000_one.sql': one }, /no name of a migration/],
			[{ '001_.sql': one }, /no name of a migration/],
			[{ '001_One.sql': one }, /no name of a migration/],
			[{ '001_one.sql': Buffer.from([0x61, 0, 0x62]) }, /not UTF-8/],
			[{ '001_one.sql': Buffer.from([0xff]) }, /not UTF-8/],
		];
		for (const [files, pattern] of cases)
			await fails(1, pattern, ['migrate', '-d', dsn, '--dir', make(files)]);
		await fails(1, /No such file.*--dir/, ['migrate', '-d', dsn, '--dir', join(folder, 'none')]);
		assert.deepEqual(await pg.query(dsn, "SELECT to_regclass('parlance.schema_version')"), []);
	});

	test('the schema of this version', async () => {
		const dsn = await pg.database();
		const count = readdirSync(sql).filter((name) => /^\d{3}_\w+\.sql$/.test(name)).length;
		await ok(['migrate', '-d', dsn, '--dir', sql]);
		assert.equal((await versions(dsn)).length, count);
		assert.match(await ok(['migrate', '-d', dsn, '--dir', sql]), /nothing to do/);
		await ok(['migrate', '-d', dsn, '--dir', sql, '--status']);
	});
});
