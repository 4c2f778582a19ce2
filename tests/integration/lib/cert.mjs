// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// A self-signed certificate for localhost and 127.0.0.1, made by openssl.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

// { cert, key } are paths in the folder, ca is the certificate itself.
export function makeCertificate(folder) {
	const cert = join(folder, 'cert.pem');
	const key = join(folder, 'key.pem');
	const request = ['req', '-x509', '-nodes', '-days', '2', '-subj', '/CN=localhost'];
	const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
	const names = ['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
	const files = ['-keyout', key, '-out', cert];
	execFileSync('openssl', [...request, ...curve, ...names, ...files], { stdio: 'pipe' });
	return { cert, key, ca: readFileSync(cert) };
}
