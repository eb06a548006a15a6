import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Connection, encode } from './connection.js';
import { devSetPrice, devToken } from './development.js';

/** A connection whose server is the test: `asked` holds the frames, `say` answers. */
async function connect() {
  const asked = [];
  const pushed = [];
  let socket;
  class Socket {
    constructor() {
      socket = this;
      queueMicrotask(() => this.onopen());
    }
    send(text) {
      asked.push(JSON.parse(text));
    }
    close() {}
  }
  const onPush = (event, data) => pushed.push([event, data]);
  const connection = new Connection({ url: 'ws://x', token: 't', WebSocket: Socket, onPush, onClose: () => {} });
  await connection.opened;
  const say = (frame) => socket.onmessage({ data: typeof frame === 'string' ? frame : JSON.stringify(frame) });
  const answer = ({ action, requestId }) => say({ event: 'x', requestId, success: true, data: action });
  return { connection, asked, pushed, say, answer };
}

const NOBODY = { event: 'error', success: false, error: { code: 'bad_request', retryable: false } };
const DIED = { message: 'Internal server error', connectionId: 'x', requestId: 'of-the-platform' };
const code = (promise) => promise.then(() => 'answered', (error) => error.code);

test('an error that names nobody is found to be that of the request it was for; the others are answered', async () => {
  const { connection, asked, say, answer } = await connect();
  const outcomes = ['one', 'bad', 'two'].map((action) => code(connection.ask(action, {}, 5_000)));
  say(NOBODY); // to `bad`; the answers to the others are slow
  for (let at = 3; at < asked.length; at += 1) {
    if (asked[at].action === 'bad') say(NOBODY);
    else answer(asked[at]);
  }
  assert.deepEqual(await Promise.all(outcomes), ['answered', 'bad_request', 'answered']);
});

test('a request that is new while others are doubted is answered, too', async () => {
  const { connection, asked, say, answer } = await connect();
  const bad = code(connection.ask('bad', {}, 5_000));
  const fresh = code(connection.ask('fresh', {}, 5_000));
  say(NOBODY);
  const later = code(connection.ask('later', {}, 5_000));
  say(NOBODY);
  for (let at = 3; at < asked.length; at += 1) {
    if (asked[at].action === 'bad') say(NOBODY);
    else answer(asked[at]);
  }
  assert.deepEqual(await Promise.all([bad, fresh, later]), ['bad_request', 'answered', 'answered']);
});

test('what the platform answers for a function that died has the request asked again', async () => {
  const { connection, asked, say, answer } = await connect();
  const outcome = code(connection.ask('one', {}, 5_000));
  say(DIED);
  assert.equal(asked.length, 2);
  answer(asked[1]);
  assert.equal(await outcome, 'answered');
  const again = code(connection.ask('two', {}, 5_000));
  for (let deaths = 0; deaths < 3; deaths += 1) say(DIED);
  assert.equal(await again, 'internal');
});

test('an error that names only the message is the answer to its send', async () => {
  const { connection, asked, say } = await connect();
  const outcome = code(connection.ask('sendMessage', { clientMessageId: 'm1' }, 5_000));
  const other = code(connection.ask('sendMessage', { clientMessageId: 'm2' }, 5_000));
  say({ ...NOBODY, event: 'message:error', clientMessageId: 'm1' });
  assert.equal(await outcome, 'bad_request');
  assert.equal(asked.length, 2);
  connection.close();
  assert.equal(await other, 'disconnected');
});

test('an answer to a request that is over, an unknown event and noise disturb nobody', async () => {
  const { connection, asked, pushed, say, answer } = await connect();
  const outcome = code(connection.ask('one', {}, 5_000));
  say({ ...NOBODY, requestId: 'r999' });
  say({ event: 'of a later version', data: {} });
  for (const noise of ['', 'null', '7', '[]', '{', '"x"']) say(noise);
  assert.deepEqual([asked.length, pushed], [1, []]);
  answer(asked[0]);
  assert.equal(await outcome, 'answered');
  const bare = code(connection.ask('two', {}, 5_000));
  say({ event: 'error', requestId: asked[1].requestId, success: false, error: null });
  assert.equal(await bare, 'internal');
});

test('text leaves the client well-formed, wherever it stands', async (t) => {
  assert.equal(encode({ a: ['\ud83d', { b: 'x\udc00y' }], c: 'ok 👍' }), '{"a":["\ufffd",{"b":"x\ufffdy"}],"c":"ok 👍"}');
  const { connection, asked } = await connect();
  code(connection.ask('getOrCreateDirect', { otherUserId: 'bob\ud83d' }, 5_000));
  assert.equal(asked[0].otherUserId, 'bob\ufffd');
  connection.close();
  const calls = [];
  t.mock.method(globalThis, 'fetch', async (path, { body }) => {
    calls.push(`${path} ${body}`);
    return { ok: true, json: async () => ({ token: 't' }) };
  });
  await devToken('ann\ud83d');
  await devSetPrice('ann\ud83d', 5);
  assert.equal(calls[0], '/dev/token {"sub":"ann\ufffd"}');
  assert.equal(calls[2], '/api/users/ann%EF%BF%BD/price {"price":5}');
});
