/**
 * Reads conversations as the page does, through the web client's own wire, and prints what it holds of them, hashed.
 *
 * Stdin has a line of JSON for each person, `{url, user, token, others: [userId]}`; stdout a line for each of their
 * conversations, `{user, conversationId, messages, digest}`. A message's digest is that of `logs.rs`.
 */
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';
import { Wire } from '../../../../local/web/wire.js';

const PEOPLE_AT_ONCE = 12;
const DIGEST_BYTES = 16;

/** All that a message shows but how far it has come, which goes on. */
function digest(message) {
  const names = Object.keys(message).sort();
  const shown = Object.fromEntries(names.map((name) => [name, name === 'status' ? null : message[name]]));
  return createHash('sha256').update(JSON.stringify(shown)).digest().subarray(0, DIGEST_BYTES);
}

/** Opens a conversation and scrolls up to its first message. */
async function read(wire, other) {
  const { conversationId } = await wire.openDirect(other);
  while (wire.hasOlder(conversationId)) await wire.loadOlder(conversationId);
  const hash = createHash('sha256');
  const messages = wire.messages(conversationId);
  for (const message of messages) hash.update(digest(message));
  return { user: wire.user, conversationId, messages: messages.length, digest: hash.digest('hex') };
}

async function readAll({ url, user, token, others }) {
  const wire = new Wire({ url, user, token: async () => token });
  wire.start();
  for (const other of others) console.log(JSON.stringify(await read(wire, other)));
  wire.stop();
}

const people = [];
for await (const line of createInterface({ input: process.stdin })) people.push(JSON.parse(line));
const workers = Array.from({ length: PEOPLE_AT_ONCE }, async () => {
  for (let person; (person = people.shift()); ) await readAll(person);
});
await Promise.all(workers);
