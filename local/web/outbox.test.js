import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeServer, held, pass, settled, texts, until } from './fake-server.js';
import { timeOrderedId } from './outbox.js';

const failures = (wire) => wire.outgoing('c').filter(({ state }) => state === 'failed').map(({ content, error }) => [content, error.code]);

/** Answers the sends of one text otherwise. */
function refuse(server, content, answer) {
  const others = server.answers.sendMessage;
  server.answers.sendMessage = (frame, socket) => (frame.content === content ? answer(frame, socket) : others(frame, socket));
}

test('a retry after a lost answer carries the same id', async (t) => {
  const server = new FakeServer();
  server.answers.sendMessage = (frame, socket) => {
    server.answers.sendMessage = server.accept;
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
  const server = new FakeServer();
  server.answers.sendMessage = () => ({ code: 'insufficient_balance', retryable: false, details: { balance: 0, price: 5 } });
  const wire = server.wire(t);
  wire.send('c', 'hi', 5);
  const failed = (code) => until(wire, () => wire.outgoing('c')[0]?.error?.code === code);
  await failed('insufficient_balance');
  assert.equal(wire.conversations.get('c').price, 5);
  server.answers.sendMessage = () => ({ code: 'send_expired', retryable: false });
  wire.retry(wire.outgoing('c')[0], 5);
  await failed('send_expired');
  server.answers.sendMessage = server.accept;
  wire.retry(wire.outgoing('c')[0], 5);
  await until(wire, () => held(wire).length === 1);
  const [first, second, third] = server.of('sendMessage').map(({ clientMessageId }) => clientMessageId);
  assert.equal(first, second);
  assert.notEqual(second, third);
});

test('half of an emoji is shown and sent as what any server can read', async (t) => {
  const server = new FakeServer();
  const wire = server.wire(t);
  wire.send('c', 'hi \ud83d', 0);
  assert.equal(wire.outgoing('c')[0].content, 'hi \ufffd');
  await until(wire, () => held(wire).length === 1);
  assert.equal(server.of('sendMessage')[0].content, 'hi \ufffd');
});

test('a refusal that names nobody fails its message, and the one behind it arrives', async (t) => {
  const server = new FakeServer();
  refuse(server, 'bad', (frame, socket) => server.say({ event: 'error', success: false, error: { code: 'bad_request' } }, socket));
  const wire = await server.online(t);
  wire.send('c', 'bad', 0);
  wire.send('c', 'good', 0);
  await until(wire, () => held(wire).length === 1);
  assert.deepEqual(texts(wire), ['good']);
  assert.deepEqual(failures(wire), [['bad', 'bad_request']]);
});

test('a function that died is asked again for the same message', async (t) => {
  const server = new FakeServer();
  server.answers.sendMessage = (frame, socket) => {
    server.answers.sendMessage = server.accept;
    server.say({ message: 'Internal server error', connectionId: 'x', requestId: 'y' }, socket);
  };
  const wire = await server.online(t);
  wire.send('c', 'hi', 0);
  await until(wire, () => held(wire).length === 1);
  assert.equal(new Set(server.of('sendMessage').map(({ clientMessageId }) => clientMessageId)).size, 1);
});

test('a message that gets no answer holds back nobody for long, and fails in the end', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const server = new FakeServer();
  refuse(server, 'bad', () => undefined);
  const wire = await server.online(t);
  wire.send('c', 'bad', 0);
  wire.send('c', 'one', 0);
  await settled();
  assert.deepEqual(texts(wire), []);
  await pass(t, 5_000);
  assert.deepEqual(texts(wire), ['one']);
  await pass(t, 12_000); // it is asked again meanwhile
  wire.send('c', 'two', 0);
  await settled();
  assert.deepEqual(texts(wire), ['one', 'two']);
  await pass(t, 180_000);
  assert.deepEqual(failures(wire), [['bad', 'timeout']]);
  assert.ok(server.of('sendMessage').filter(({ content }) => content === 'bad').length > 1);
});

test('a message that is refused again and again lets the next one go; one hiccup does not change their order', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const server = new FakeServer();
  let hiccups = 1;
  const unavailable = { code: 'unavailable', retryable: true };
  refuse(server, 'one', (frame) => (hiccups-- > 0 ? unavailable : server.accept(frame)));
  refuse(server, 'bad', () => unavailable);
  const wire = await server.online(t);
  for (const content of ['one', 'two', 'bad', 'three']) wire.send('c', content, 0);
  await pass(t, 12_000);
  assert.deepEqual(texts(wire), ['one', 'two', 'three']);
  await pass(t, 60_000);
  assert.deepEqual(failures(wire), [['bad', 'unavailable']]);
});

test('who is too fast keeps the order of the messages', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const server = new FakeServer();
  let refusals = 3;
  const limited = { code: 'rate_limited', retryable: true, details: { retryAfterMs: 50 } };
  refuse(server, 'one', (frame) => (refusals-- > 0 ? limited : server.accept(frame)));
  const wire = await server.online(t);
  for (const content of ['one', 'two', 'three']) wire.send('c', content, 0);
  await pass(t, 1_000);
  assert.deepEqual(texts(wire), ['one', 'two', 'three']);
});

test('what is too long is refused before it is sent', async (t) => {
  const server = new FakeServer();
  const wire = await server.online(t);
  assert.throws(() => wire.send('c', 'x'.repeat(10_001), 0), { code: 'content_too_long' });
  assert.throws(() => wire.send('c', '👍'.repeat(10_000), 0), { code: 'payload_too_large' });
  assert.throws(() => wire.send('c', '\u0001'.repeat(10_000), 0), { code: 'payload_too_large' });
  assert.deepEqual(wire.outgoing('c'), []);
  wire.send('c', '👍'.repeat(8_000), 0);
  await until(wire, () => held(wire).length === 1);
});

test('unsent messages outlive a reload', async (t) => {
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
  const server = new FakeServer();
  server.answers.sendMessage = () => undefined;
  server.wire(t, { storage }).send('c', 'hi', 0);
  const next = new FakeServer();
  const wire = next.wire(t, { storage });
  await until(wire, () => held(wire).length === 1);
  assert.equal(next.of('sendMessage')[0].content, 'hi');
});

const kept = {
  conversationId: 'c', senderId: 'ann', clientMessageId: 'k1', content: 'kept', maxPrice: 0, createdAt: '2026-01-01T00:00:00.000Z', state: 'sending',
};
const storing = (value) => ({ getItem: () => value, setItem: () => {}, removeItem: () => {} });

test('a storage that is full, or holds something else, stops no message', async (t) => {
  const full = () => {
    throw new Error('QuotaExceededError');
  };
  const server = new FakeServer();
  const wire = server.wire(t, { storage: { getItem: () => '{', setItem: full } });
  wire.send('c', 'hi', 0);
  await until(wire, () => held(wire).length === 1);
});

test('what was kept and is no unsent message is dropped, and the others are sent', async (t) => {
  const failed = { ...kept, state: 'failed' };
  const others = [
    null, 7, 'x', [], {}, failed, { ...failed, error: { code: 7, details: {} } }, { ...failed, error: { code: 'blocked' } },
    { ...kept, conversationId: undefined }, { ...kept, clientMessageId: 7 }, { ...kept, content: ['x'] }, { ...kept, content: '' },
    { ...kept, senderId: 'eve' }, { ...kept, maxPrice: '5' }, { ...kept, maxPrice: undefined, price: 5 }, { ...kept, maxPrice: -1 },
    { ...kept, createdAt: 'once' }, { ...kept, createdAt: undefined }, { ...kept, state: 'queued' }, { ...kept, state: undefined },
  ];
  for (const value of ['', '{', 'null', '7', '"x"', '{}', ...others.map((other) => JSON.stringify([other, kept, kept]))]) {
    const server = new FakeServer();
    const wire = server.wire(t, { storage: storing(value) });
    wire.send('c', 'new', 0);
    await until(wire, () => texts(wire).includes('new'));
    assert.deepEqual(texts(wire), value.includes('k1') ? ['kept', 'new'] : ['new'], value);
    assert.deepEqual(wire.outgoing('c'), [], value);
  }
});

test('what has failed is shown as failed after a reload', async (t) => {
  const error = { code: 'price_changed', details: { price: 5 } };
  const server = new FakeServer();
  const wire = await server.online(t, { storage: storing(JSON.stringify([{ ...kept, state: 'failed', error }])) });
  assert.deepEqual(failures(wire), [['kept', 'price_changed']]);
  wire.retry(wire.outgoing('c')[0], 5);
  await until(wire, () => held(wire).length === 1);
});

test('a discarded message stays discarded, even if its browser can keep no others', async (t) => {
  const texts = new Map();
  const setItem = (key, value) => {
    if (value.includes('large')) throw new Error('QuotaExceededError');
    texts.set(key, value);
  };
  const storage = { getItem: (key) => texts.get(key) ?? null, setItem, removeItem: (key) => texts.delete(key) };
  const server = new FakeServer();
  server.answers.sendMessage = () => undefined;
  const wire = await server.online(t, { storage });
  wire.send('c', 'wrong', 0);
  wire.send('c', 'large', 0);
  wire.discard(wire.outgoing('c')[0]);
  const next = await new FakeServer().online(t, { storage });
  assert.deepEqual(next.outgoing('c').map(({ content }) => content), []);
});

test('ids are UUIDs of version 7', () => {
  assert.match(timeOrderedId(), /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
