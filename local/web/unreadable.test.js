import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Conversations } from './conversations.js';
import { conversation, FakeServer, held, message, settled, until } from './fake-server.js';

const damaged = { code: 'internal', message: 'it can not be read now', retryable: true };
const range = (from, to, sender = 'bob') => Array.from({ length: to - from + 1 }, (_, at) => message(from + at, sender));

/** A server that can't read what follows 5 in `c`, of which ann has 5, until it is `mended`. */
function broken(last) {
  const server = Object.assign(new FakeServer(), { mended: false, log: range(1, last) });
  const known = () => conversation(server.log.length, { deliveredSeq: 5, readSeq: 5 });
  server.answers.getConversations = () => ({ conversations: [known()] });
  server.answers.getConversation = () => ({ conversation: known() });
  server.answers.sync = ({ since }) => {
    const from = since.c ?? 5;
    if (from < server.log.length) server.page('c', server.mended ? server.log.slice(from) : [], server.mended ? undefined : damaged);
    return { complete: true };
  };
  server.answers.getMessages = ({ before = Infinity, after, limit }) => {
    const after5 = after === undefined ? before > 6 : after >= 5;
    if (after5 && !server.mended) return damaged;
    const some = after === undefined ? server.log.filter(({ seq }) => seq < before).slice(-limit) : server.log.slice(after, after + limit);
    return { conversationId: 'c', messages: some, hasMore: false };
  };
  return server;
}

function pushNext(server) {
  server.log.push(message(server.log.length + 1, 'bob'));
  server.push(server.log.at(-1));
}

async function reconnect(server, wire) {
  const syncs = server.of('sync').length;
  server.sockets.at(-1).close();
  await until(wire, () => server.of('sync').length > syncs && wire.state === 'online');
}

/** Waits until the server has been told that ann has all up to a number. */
async function delivered(server, wire, seq) {
  server.answers.markDelivered = () => wire.dispatchEvent(new Event('change')) && {};
  await until(wire, () => server.of('markDelivered').some((mark) => mark.seq === seq));
}

const marked = (server) => [...server.of('markDelivered'), ...server.of('markRead')].map(({ seq }) => seq);

test('a conversation that can’t be read says so, the others go on, and the next sync asks from the same number', async (t) => {
  const server = broken(9);
  const { sync } = server.answers;
  server.answers.sync = (frame) => {
    const done = sync(frame);
    server.page('d', [{ ...message(1, 'eve'), conversationId: 'd' }]);
    return done;
  };
  const wire = await server.online(t);
  assert.deepEqual([[...wire.unreadable], wire.messages('d').length, held(wire)], [['c'], 1, []]);
  pushNext(server); // what comes meanwhile is shown, and says nothing of what stands before it
  wire.markRead('c');
  await until(wire, () => server.of('getMessages').length > 0);
  await settled();
  assert.deepEqual([held(wire), wire.unreadable.has('c'), wire.conversations.get('c').unread], [[10], true, 5]);
  await reconnect(server, wire);
  assert.deepEqual([server.of('sync').at(-1).since.c, wire.unreadable.has('c')], [5, true]);
  assert.ok(marked(server).every((seq) => seq <= 5), String(marked(server)));
  server.mended = true;
  await reconnect(server, wire);
  assert.deepEqual([held(wire), wire.unreadable.has('c')], [[6, 7, 8, 9, 10], false]);
  await delivered(server, wire, 10);
});

test('of a conversation that is held in part, the number stays as it is', async (t) => {
  const server = broken(5);
  const wire = await server.online(t);
  server.push(...server.log);
  server.log = range(1, 8);
  await reconnect(server, wire);
  pushNext(server);
  await reconnect(server, wire);
  assert.deepEqual([held(wire), server.of('sync').at(-1).since], [[1, 2, 3, 4, 5, 9], { c: 5 }]);
  assert.ok(wire.unreadable.has('c'));
  server.mended = true;
  pushNext(server); // whatever makes it complete
  await until(wire, () => !wire.unreadable.has('c'));
  assert.deepEqual(held(wire), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test('a conversation that nothing is refused of any more can be read', async (t) => {
  const server = broken(9);
  const wire = await server.online(t);
  server.answers.sync = () => ({ complete: false });
  await reconnect(server, wire);
  assert.ok(wire.unreadable.has('c')); // it may not have come to it
  server.answers.sync = () => ({ complete: true });
  await reconnect(server, wire);
  assert.ok(!wire.unreadable.has('c'));
});

test('the number of a refused conversation is the held one, or the marked one once it is told', () => {
  const heldInPart = new Conversations('ann');
  heldInPart.know(conversation(9));
  heldInPart.hold(range(1, 5));
  heldInPart.moved({ conversationId: 'c', userId: 'ann', status: 'delivered', seq: 9 }); // on another device
  heldInPart.stay('c');
  assert.deepEqual([heldInPart.top('c'), heldInPart.gap('c')], [5, 6]);

  const untold = new Conversations('ann');
  untold.stay('c');
  untold.hold(range(10, 10));
  assert.equal(untold.gap('c'), undefined);
  untold.know(conversation(10, { deliveredSeq: 5 }));
  assert.deepEqual([untold.top('c'), untold.gap('c')], [5, 6]);
});

test('a refused conversation that the list names later goes on from what is marked there', async (t) => {
  const server = broken(9);
  const { getConversations } = server.answers;
  server.answers.getConversations = ({ cursor }) => (cursor ? undefined : { conversations: [], nextCursor: 'x' });
  server.answers.getConversation = () => undefined;
  const wire = await server.online(t);
  pushNext(server);
  await settled();
  assert.deepEqual([held(wire), server.of('getMessages'), marked(server)], [[10], [], []]);
  server.answers.getConversations = getConversations;
  await reconnect(server, wire);
  assert.deepEqual(server.of('sync').at(-1).since, {});
  await reconnect(server, wire);
  assert.deepEqual([server.of('sync').at(-1).since, wire.conversations.get('c').deliveredSeq], [{ c: 5 }, 5]);
});

test('what is opened of a refused conversation moves no number over what is missing before it', async (t) => {
  const server = broken(120);
  const wire = await server.online(t);
  server.mended = true;
  const { getMessages } = server.answers;
  server.answers.getMessages = (frame) => (frame.after === undefined ? getMessages(frame) : damaged);
  await wire.loadOlder('c');
  await until(wire, () => server.of('getMessages').some(({ after }) => after === 5));
  await settled();
  assert.deepEqual([held(wire).length, wire.unreadable.has('c'), marked(server).filter((seq) => seq > 5)], [50, true, []]);
  server.answers.getMessages = getMessages;
  await wire.readAgain('c');
  assert.deepEqual([held(wire).length, wire.unreadable.has('c')], [115, false]);
  await delivered(server, wire, 120);
});

test('to ask again is refused as long as it can’t be read', async (t) => {
  const server = broken(9);
  const wire = await server.online(t);
  await assert.rejects(wire.readAgain('c'), { code: 'internal' });
  assert.ok(wire.unreadable.has('c'));
  server.mended = true;
  await wire.readAgain('c');
  assert.deepEqual([held(wire), wire.unreadable.has('c')], [[1, 2, 3, 4, 5, 6, 7, 8, 9], false]);
});

test('lists say how many entries they have left out, whatever page these were on', async (t) => {
  const server = new FakeServer();
  server.answers.getConversations = ({ cursor }) => (cursor ? { conversations: [], skipped: 1 } : { conversations: [conversation(0)], skipped: 2, nextCursor: 'x' });
  server.answers.getTransactions = ({ cursor }) => ({ transactions: [], skipped: cursor ? 0 : 4, nextCursor: cursor ? undefined : 'x' });
  const wire = await server.online(t);
  await until(wire, () => !wire.moreConversations);
  assert.equal(wire.skippedConversations, 3);
  const pages = wire.transactions();
  while (pages.more) await pages.next((action, fields) => wire.request(action, fields));
  assert.equal(pages.skipped, 4);
  server.answers.getConversations = () => ({ conversations: [conversation(0)] });
  await reconnect(server, wire);
  assert.equal(wire.skippedConversations, 0);
});
