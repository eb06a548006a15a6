import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeServer, held, message, pass, settled, until } from './fake-server.js';

const NOW = Date.parse('2030-01-01T00:00:00.000Z'); // the server's clock; the tests' own is years behind

/** A token that the server takes for so long. */
const token = (lifeMs) => `h.${Buffer.from(JSON.stringify({ sub: 'ann', exp: (NOW + lifeMs) / 1000 })).toString('base64url')}.s`;
const pong = () => ({ serverTime: new Date(NOW).toISOString() });

test('an expired token is renewed and the request repeated', async (t) => {
  const server = new FakeServer();
  server.answers.getTransactions = () => (server.tokens === 1 ? { code: 'token_expired' } : { transactions: [] });
  const wire = server.wire(t);
  assert.deepEqual(await wire.request('getTransactions'), { transactions: [] });
  assert.equal(server.tokens, 2);
});

test('before its token expires a connection is replaced, and nothing is missed in between', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const server = new FakeServer();
  server.answers.ping = pong;
  const wire = await server.online(t, { token: async () => token(60 * 60_000) });
  await settled(); // it knows the server's time
  const states = [];
  wire.addEventListener('state', ({ detail }) => states.push(detail.state));
  const { sync } = server.answers;
  server.answers.sync = () => undefined; // takes its time
  await pass(t, 57 * 60_000, 60_000);
  assert.equal(server.sockets.length, 1);
  await pass(t, 60_000, 1_000);
  const [first, second] = server.sockets;
  server.answers.sync = sync;
  server.say({ event: 'message:new', success: true, data: { message: message(1, 'bob') } }, first);
  server.say({ event: 'message:new', success: true, data: { message: message(1, 'bob') } }, second);
  assert.deepEqual([held(wire), first.closed], [[1], false]);
  server.say({ event: 'sync:done', requestId: server.frames.at(-1).requestId, success: true, data: { complete: true } }, second);
  await settled();
  assert.deepEqual([first.closed, second.closed, states], [true, false, []]);
  server.push(message(2, 'bob'));
  assert.deepEqual(held(wire), [1, 2]);
});

test('a renewal that fails leaves the connection as it is, and is tried again', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const server = new FakeServer();
  server.answers.ping = pong;
  let tokens = 0;
  const wire = await server.online(t, {
    token: async () => {
      if (tokens++ === 1) throw new Error('no token today');
      return token(10 * 60_000);
    },
  });
  await settled();
  await pass(t, 8 * 60_000, 60_000);
  assert.deepEqual([wire.state, tokens, server.sockets.length], ['online', 2, 1]);
  await pass(t, 10_000);
  assert.deepEqual([wire.state, tokens, server.sockets.map(({ closed }) => closed)], ['online', 3, [true, false]]);
});

test('an error is a sign of life, silence is not', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const server = new FakeServer();
  server.answers.ping = () => ({ code: 'unavailable', retryable: true });
  const wire = await server.online(t);
  wire.check();
  await pass(t, 10_000);
  assert.equal(server.sockets.length, 1);
  server.answers.ping = () => undefined;
  wire.check();
  await pass(t, 10_000);
  assert.deepEqual([wire.state, server.sockets.map(({ closed }) => closed)], ['online', [true, false]]);
});

test('a question whose answer is lost is asked again; one that is never answered fails in the end', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const server = new FakeServer();
  let lost = 1;
  server.answers.getTransactions = () => (lost-- > 0 ? undefined : { transactions: [] });
  const wire = await server.online(t);
  const answer = wire.request('getTransactions');
  await pass(t, 6_000);
  assert.deepEqual(await answer, { transactions: [] });
  lost = Infinity;
  const never = assert.rejects(wire.request('getTransactions'), { code: 'timeout' });
  await pass(t, 16_000);
  await never;
});

test('a clock that is set while a request waits changes nothing for it', async (t) => {
  const server = new FakeServer();
  server.answers.getTransactions = (_, socket) => {
    server.answers.getTransactions = () => ({ transactions: [] });
    t.mock.method(Date, 'now', () => NOW);
    socket.close();
  };
  const wire = await server.online(t);
  assert.deepEqual(await wire.request('getTransactions'), { transactions: [] });
});

test('a connection that does not open is given up, and another one tried', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const server = new FakeServer();
  let tokens = 0;
  const never = new Promise(() => {});
  const wire = server.wire(t, { token: () => (tokens++ ? 't' : never) });
  await pass(t, 12_000);
  await until(wire, () => wire.state === 'online');
  assert.equal(tokens, 2);
});

test('who asks too fast waits as long as told, and asks again', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const server = new FakeServer();
  let refused = 2;
  const limited = { code: 'rate_limited', retryable: true, details: { retryAfterMs: 50 } };
  server.answers.getTransactions = () => (refused-- > 0 ? limited : { transactions: [] });
  const wire = await server.online(t);
  const answer = wire.request('getTransactions');
  await pass(t, 60, 10);
  assert.equal(server.of('getTransactions').length, 2);
  await pass(t, 60, 10);
  assert.deepEqual(await answer, { transactions: [] });
  assert.equal(server.of('getTransactions').length, 3);
});
