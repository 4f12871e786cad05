// A day of imapflow: its answers as JSON on standard output.
//
//     node imapflow_day.mjs NODE_MODULES PORT USER PASSWORD CERTIFICATE STARTTLS|TLS
//
// It says "idle" when it waits for mail.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [folder, port, user, pass, certificate, way] = process.argv.slice(2);
const { ImapFlow } = createRequire(`${folder}/`)('imapflow');

const client = new ImapFlow({
    host: '127.0.0.1',
    port: Number(port),
    secure: way === 'TLS',
    doSTARTTLS: way === 'STARTTLS',
    auth: { user, pass },
    tls: { ca: readFileSync(certificate) },
    clientInfo: { name: 'day' },
    qresync: true,
    logger: false,
});

const seen = {};
await client.connect();
seen.enabled = [...client.enabled].sort();
const folders = await client.list({ statusQuery: { messages: true } });
seen.special = folders.filter(one => one.specialUse).map(one => one.specialUse).sort();
await client.mailboxCreate('Kept/2026');
const inbox = await client.mailboxOpen('INBOX');
seen.exists = inbox.exists;

const first = await client.fetchOne('1', { uid: true, flags: true, envelope: true, bodyStructure: true, threadId: true });
seen.first = [first.uid, first.envelope.subject, first.envelope.from[0].address, first.bodyStructure.type];
const { content } = await client.download('1', undefined, { uid: true });
const parts = [];
for await (const part of content) parts.push(part);
seen.body = Buffer.concat(parts).toString().split('\r\n\r\n').slice(1).join('\r\n\r\n');

seen.found = await client.search({ subject: 'two', seen: false }, { uid: true });
await client.messageFlagsAdd(seen.found, ['\\Flagged', 'todo'], { uid: true });
seen.flagged = await client.search({ flagged: true, keyword: 'todo' }, { uid: true });
const moved = await client.messageMove('3', 'Kept/2026', { uid: true });
seen.moved = [...moved.uidMap];
const copied = await client.messageCopy('1', 'Kept/2026', { uid: true });
seen.copied = [...copied.uidMap];
const appended = await client.append('Kept/2026', 'Subject: four\r\n\r\nfour\r\n', ['\\Draft']);
seen.appended = appended.uid;
seen.status = await client.status('Kept/2026', { messages: true, uidNext: true, unseen: true });
await client.messageDelete('1', { uid: true });

const arrived = new Promise(resolve => client.once('exists', resolve));
const waiting = client.idle();
console.log('idle');
const told = await arrived;
seen.pushed = [told.prevCount, told.count];
seen.subjects = [];
for await (const one of client.fetch('1:*', { envelope: true })) seen.subjects.push(one.envelope.subject);
await waiting;
await client.mailboxClose();
await client.logout();
console.log(JSON.stringify(seen));
