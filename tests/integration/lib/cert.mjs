// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Certificates for localhost and 127.0.0.1, made by openssl.

import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const KEYS = {
	ec: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
	rsa: ['-newkey', 'rsa:2048'],
};

// Runs openssl req for a certificate; issuer: { cert, key }, or none for one that signs itself.
function request(type, { cert, key, subject, extensions, issuer }) {
	const args = ['req', '-x509', '-nodes', '-days', '2', '-subj', `/CN=${subject}`, ...KEYS[type]];
	for (const extension of extensions) args.push('-addext', extension);
	if (issuer) args.push('-CA', issuer.cert, '-CAkey', issuer.key);
	execFileSync('openssl', [...args, '-keyout', key, '-out', cert], { stdio: 'pipe' });
}

const serialOf = (pem) => new X509Certificate(pem).serialNumber;

// { cert, key } are paths in the folder, ca is the certificate itself, serial its number. name: of the
// files; type: ec or rsa. A certificate that is there already is replaced as renewals do it: the new
// files take the old ones' names.
export function makeCertificate(folder, { name = '', type = 'ec' } = {}) {
	const cert = join(folder, `${name}cert.pem`);
	const key = join(folder, `${name}key.pem`);
	const extensions = ['subjectAltName=DNS:localhost,IP:127.0.0.1'];
	const made = { cert: `${cert}.new`, key: `${key}.new` };
	request(type, { ...made, subject: 'localhost', extensions });
	renameSync(made.key, key);
	renameSync(made.cert, cert);
	const ca = readFileSync(cert);
	return { cert, key, ca, serial: serialOf(ca) };
}

// As makeCertificate, issued by an authority between that of `ca` and this one.
export function makeChain(folder) {
	const at = (name) => ({ cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) });
	const [root, middle, leaf] = [at('root'), at('middle'), at('leaf')];
	const authority = ['basicConstraints=critical,CA:TRUE'];
	request('ec', { ...root, subject: 'root', extensions: authority });
	request('ec', { ...middle, subject: 'middle', extensions: authority, issuer: root });
	const extensions = [
		'basicConstraints=critical,CA:FALSE',
		'subjectAltName=DNS:localhost,IP:127.0.0.1',
	];
	request('ec', { ...leaf, subject: 'localhost', extensions, issuer: middle });
	const cert = join(folder, 'chain.pem');
	writeFileSync(cert, readFileSync(leaf.cert, 'utf8') + readFileSync(middle.cert, 'utf8'));
	return { cert, key: leaf.key, ca: readFileSync(root.cert), leaf: leaf.cert };
}
