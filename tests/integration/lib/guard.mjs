// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// What must be true after every hostile case, on a server in --engine mode: it runs, a client that
// was connected before is served, a new one gets in, and the CPU is idle again.

import assert from 'node:assert/strict';
import { handshake, post } from './http.mjs';
import { Socket } from './socket.mjs';

export class Guard {
	#bystander;
	#server;
	#count = 0;

	static async stand(server) {
		const guard = new Guard();
		guard.#server = server;
		guard.#bystander = await Socket.open(
			`${server.wsUrl}/engine.io/?EIO=4&transport=websocket`,
		);
		assert.equal((await guard.#bystander.next('the open packet'))[0], '0');
		return guard;
	}

	async served() {
		const message = `4bystander ${++this.#count}`;
		this.#bystander.send(message);
		assert.equal(await this.#bystander.nextData('the echo to a bystander'), message);
	}

	async check() {
		assert.ok(
			this.#server.running,
			`the server is gone:\n${this.#server.stderr.slice(-8000)}`,
		);
		await this.served();
		const { url } = await handshake(`${this.#server.url}/engine.io/`);
		await post(url, '1');
		await this.#server.becomesIdle();
	}

	leave() {
		this.#bystander.terminate();
	}
}
