// Run: node --test local/web
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { timeOrderedId, Wire } from './wire.js';

const DEADLINE_MS = 10_000;

/** A server of one conversation, `c`, between ann and bob. `answers` replaces an action's answer: (frame) → data or error. */
class Server {
  sockets = [];
  frames = [];
  tokens = 0;
  log = [];
  answers = {
    sync: () => ({ conversations: 0, messages: 0, complete: true }),
    getConversations: () => ({ conversations: [conversation(this.log.length)] }),
    getMessages: ({ after }) => ({ conversationId: 'c', messages: this.log.slice(after), hasMore: false }),
    getPresence: () => ({ users: [] }),
    getBalance: () => ({ balance: 0 }),
    sendMessage: ({ clientMessageId, content }) => ({ message: message(1, 'ann', content, clientMessageId), balance: 7 }),
  };

  wire(t, storage) {
    const server = this;
    class Socket {
      constructor(url, protocols) {
        server.sockets.push(Object.assign(this, { url, protocols }));
        queueMicrotask(() => this.onopen());
      }
      send(text) {
        queueMicrotask(() => server.take(this, JSON.parse(text)));
      }
      close() {
        queueMicrotask(() => this.onclose());
      }
    }
    const wire = new Wire({ user: 'ann', url: 'ws://x', token: async () => `t${++this.tokens}`, WebSocket: Socket, storage });
    t.after(() => wire.stop());
    wire.start();
    return wire;
  }

  take(socket, frame) {
    this.frames.push(frame);
    const data = (this.answers[frame.action] ?? (() => ({})))(frame, socket);
    if (data === undefined) return;
    const answer = data.code ? { event: 'error', success: false, error: data } : { event: 'x', success: true, data };
    this.say({ requestId: frame.requestId, ...answer }, socket);
  }

  say(frame, socket = this.sockets.at(-1)) {
    socket.onmessage({ data: JSON.stringify(frame) });
  }

  push(...messages) {
    for (const message of messages) this.say({ event: 'message:new', success: true, data: { message } });
  }

  of(action) {
    return this.frames.filter((frame) => frame.action === action);
  }
}

const conversation = (lastSeq) => ({
  conversationId: 'c', participants: ['ann', 'bob'], lastSeq, lastActivityAt: '', readSeq: 0, deliveredSeq: 0, unread: lastSeq,
});
const message = (seq, senderId, content = `${seq}`, clientMessageId = `${senderId}-${seq}`) => ({
  conversationId: 'c', seq, senderId, content, clientMessageId, price: 0, createdAt: '2026-01-01T00:00:00.000Z', status: 'sent',
});
const held = (wire) => wire.messages('c').map(({ seq }) => seq);

/** Resolves when `happened` holds; looks after each event of the wire. */
function until(wire, happened) {
  if (happened()) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`never: ${happened}`)), DEADLINE_MS);
    const look = () => happened() && resolve(clearTimeout(timer));
    for (const type of ['state', 'change', 'message', 'balance']) wire.addEventListener(type, look);
  });
}

test('syncs first, and again until it is complete', async (t) => {
  const server = new Server();
  server.answers.sync = ({ requestId, since }) => {
    const messages = since.c ? [message(6, 'bob')] : [message(4, 'bob'), message(5, 'bob')];
    server.say({ event: 'sync:page', requestId, success: true, data: { conversationId: 'c', messages, hasMore: false } });
    return { conversations: 1, messages: messages.length, complete: since.c === 5 };
  };
  const wire = server.wire(t);
  await until(wire, () => wire.state === 'online');
  assert.deepEqual(server.sockets[0].protocols, ['chat.v1', 'bearer.t1']);
  assert.deepEqual(server.frames.slice(0, 2).map(({ action, since }) => [action, since]), [['sync', {}], ['sync', { c: 5 }]]);
  assert.deepEqual(held(wire), [4, 5, 6]);
});

test('keeps messages by number and asks for what is missing', async (t) => {
  const server = new Server();
  const wire = server.wire(t);
  await until(wire, () => wire.state === 'online');
  server.log = [1, 2, 3, 4].map((seq) => message(seq, 'bob'));
  server.push(server.log[0], server.log[0], server.log[3]);
  await until(wire, () => held(wire).length === 4);
  assert.deepEqual(held(wire), [1, 2, 3, 4]);
  assert.deepEqual(server.of('getMessages').map(({ after }) => after), [1]);
});

test('scrolls up page by page to the first message, wherever it began', async (t) => {
  const server = new Server();
  server.log = Array.from({ length: 120 }, (_, at) => message(at + 1, 'bob'));
  server.answers.getMessages = ({ before = Infinity, limit }) => {
    const messages = server.log.filter(({ seq }) => seq < before).slice(-limit);
    return { conversationId: 'c', messages, hasMore: messages[0].seq > 1 };
  };
  const wire = server.wire(t);
  while (wire.hasOlder('c')) await wire.loadOlder('c');
  assert.deepEqual(held(wire), server.log.map(({ seq }) => seq));
  assert.deepEqual(server.of('getMessages').map(({ before }) => before), [undefined, 71, 21]);
});

test('a retry after a lost answer carries the same id', async (t) => {
  const server = new Server();
  const answer = server.answers.sendMessage;
  server.answers.sendMessage = (frame, socket) => {
    server.answers.sendMessage = answer;
    socket.close();
  };
  const wire = server.wire(t);
  wire.send('c', 'hi', 0);
  await until(wire, () => held(wire).length === 1);
  const [first, second] = server.of('sendMessage');
  assert.equal(first.clientMessageId, second.clientMessageId);
  assert.equal(wire.outgoing('c').length, 0);
  assert.equal(wire.balance, 7);
});

test('a refused message fails; what was given up goes out under a new id', async (t) => {
  const server = new Server();
  const answer = server.answers.sendMessage;
  server.answers.sendMessage = () => ({ code: 'insufficient_balance', retryable: false, details: { balance: 0, price: 5 } });
  const wire = server.wire(t);
  wire.send('c', 'hi', 5);
  const failed = (code) => until(wire, () => wire.outgoing('c')[0]?.error?.code === code);
  await failed('insufficient_balance');
  assert.equal(wire.conversations.get('c').price, 5);
  server.answers.sendMessage = () => ({ code: 'send_expired', retryable: false });
  wire.retry(wire.outgoing('c')[0], 5);
  await failed('send_expired');
  server.answers.sendMessage = answer;
  wire.retry(wire.outgoing('c')[0], 5);
  await until(wire, () => held(wire).length === 1);
  const [first, second, third] = server.of('sendMessage').map(({ clientMessageId }) => clientMessageId);
  assert.equal(first, second);
  assert.notEqual(second, third);
});

test('an expired token is renewed and the request repeated', async (t) => {
  const server = new Server();
  server.answers.getTransactions = () => (server.tokens === 1 ? { code: 'token_expired' } : { transactions: [] });
  const wire = server.wire(t);
  assert.deepEqual(await wire.request('getTransactions'), { transactions: [] });
  assert.equal(server.tokens, 2);
});

test('a status only moves forward, and marks are sent once', async (t) => {
  const server = new Server();
  const wire = server.wire(t);
  await until(wire, () => wire.state === 'online');
  const status = (status) => ({ event: 'message:status', success: true, data: { conversationId: 'c', userId: 'bob', status, seq: 1 } });
  server.say(status('read'));
  server.push(message(1, 'ann'));
  server.say(status('delivered'));
  assert.equal(wire.messages('c')[0].status, 'read');
  server.answers.markRead = ({ seq }) => wire.dispatchEvent(new Event('change')) && { deliveredSeq: seq, readSeq: seq };
  server.push(message(2, 'bob'), message(3, 'bob'));
  wire.markRead('c');
  assert.equal(wire.conversations.get('c').unread, 0);
  await until(wire, () => server.of('markRead').length > 0);
  assert.deepEqual([server.of('markRead').map(({ seq }) => seq), server.of('markDelivered').length], [[3], 0]);
});

test('unsent messages outlive a reload', async (t) => {
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
  const server = new Server();
  server.answers.sendMessage = () => undefined;
  server.wire(t, storage).send('c', 'hi', 0);
  const next = new Server();
  const wire = next.wire(t, storage);
  await until(wire, () => held(wire).length === 1);
  assert.equal(next.of('sendMessage')[0].content, 'hi');
});

test('ids are UUIDs of version 7', () => {
  assert.match(timeOrderedId(), /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
