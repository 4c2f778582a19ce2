// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// A minute of tests/bench/soak.mjs: a mixed load on three instances, with a fault every ten seconds.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { soak, table } from '../bench/soak.mjs';

it('a minute of faults under load loses, repeats and disorders nothing', async (t) => {
	const result = await soak({ seconds: 62, faultEvery: 10, users: 8 });
	const text = table(result);
	t.diagnostic(text);
	assert.deepEqual(
		Object.entries(result.bad).filter(([, n]) => n > 0),
		[],
		text,
	);
	assert.ok(result.good.faults >= 4, text);
	assert.ok(result.good['messages sent'] > 20, text);
	assert.ok(result.good['connections recovered'] > 0, text);
});
