// Run: node --test local/web/*.test.js
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conversation, FakeServer, held, message, pass, settled, ticks, until } from './fake-server.js';

test('syncs first, and again until it is complete', async (t) => {
  const server = new FakeServer();
  server.answers.sync = ({ requestId, since }) => {
    const messages = since.c ? [message(6, 'bob')] : [message(4, 'bob'), message(5, 'bob')];
    server.say({ event: 'sync:page', requestId, success: true, data: { conversationId: 'c', messages, hasMore: false } });
    return { conversations: 1, messages: messages.length, complete: since.c === 5 };
  };
  const wire = await server.online(t);
  assert.deepEqual(server.sockets[0].protocols, ['chat.v1', 'bearer.t1']);
  assert.deepEqual(server.frames.slice(0, 2).map(({ action, since }) => [action, since]), [['sync', {}], ['sync', { c: 5 }]]);
  assert.deepEqual(held(wire), [4, 5, 6]);
});

test('a sync that brings nothing new is not asked for without end', async (t) => {
  const server = new FakeServer();
  server.answers.sync = () => ({ conversations: 1, messages: 1_000, complete: false });
  await server.online(t);
  assert.equal(server.of('sync').length, 1);
});

test('a push that overtakes the sync hides nothing that the sync is still to bring', async (t) => {
  const server = new FakeServer();
  const page = (...messages) => server.say({ event: 'sync:page', success: true, data: { messages, hasMore: false } });
  server.answers.sync = ({ since }) => {
    if (since.d) page(message(2, 'bob'), message(3, 'bob'));
    else page({ ...message(1, 'eve'), conversationId: 'd' });
    server.push(message(4, 'bob'));
    return { complete: Boolean(since.d) };
  };
  const wire = await server.online(t);
  assert.deepEqual(server.of('sync').map(({ since }) => since), [{}, { d: 1 }]);
  assert.deepEqual(held(wire), [2, 3, 4]);
});

test('keeps messages by number and asks for what is missing', async (t) => {
  const server = new FakeServer();
  const wire = await server.online(t);
  server.log = [1, 2, 3, 4].map((seq) => message(seq, 'bob'));
  server.push(server.log[0], server.log[0], server.log[3]);
  await until(wire, () => held(wire).length === 4);
  assert.deepEqual(held(wire), [1, 2, 3, 4]);
  assert.deepEqual(server.of('getMessages').map(({ after }) => after), [1]);
});

test('scrolls up page by page to the first message, wherever it began', async (t) => {
  const server = new FakeServer();
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

test('an empty page is the beginning, whatever it says of more', async (t) => {
  const server = new FakeServer();
  server.answers.getMessages = () => ({ conversationId: 'c', messages: [], hasMore: true });
  const wire = server.wire(t);
  await wire.loadOlder('c');
  assert.equal(wire.hasOlder('c'), false);
});

// Lists.

/** A server of so many conversations, each with somebody else, in pages. */
function crowded(count, pageMax = 100) {
  const server = new FakeServer();
  const all = Array.from({ length: count }, (_, at) => conversation(0, { conversationId: `c${at}`, participants: ['ann', `bob${at}`] }));
  server.answers.getConversations = ({ cursor = '0', limit }) => {
    const end = Number(cursor) + Math.min(limit, pageMax);
    return { conversations: all.slice(Number(cursor), end), nextCursor: end < count ? String(end) : null };
  };
  server.answers.getPresence = ({ userIds }) => ({ users: userIds.map((userId) => ({ userId, online: true })) });
  return server;
}

test('all conversations are there, however many pages they fill, and everybody is seen', async (t) => {
  const server = crowded(260);
  const wire = await server.online(t);
  await until(wire, () => !wire.moreConversations && wire.presence.size === 260);
  assert.equal(wire.conversations.size, 260);
  assert.ok(server.of('getPresence').every(({ userIds }) => userIds.length <= 100));
});

test('one is online with the first page; a page that fails is asked for again', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const server = crowded(120);
  const { getConversations } = server.answers;
  server.answers.getConversations = (frame) => (frame.cursor ? { code: 'unavailable', retryable: true } : getConversations(frame));
  const wire = await server.online(t);
  await pass(t, 5_000);
  assert.deepEqual([wire.state, wire.conversations.size, wire.moreConversations], ['online', 50, true]);
  server.answers.getConversations = getConversations;
  await pass(t, 30_000);
  assert.deepEqual([wire.conversations.size, wire.moreConversations], [120, false]);
});

test('a list whose connection is lost is asked for anew, to its end', async (t) => {
  const server = crowded(120);
  const { getConversations } = server.answers;
  server.answers.getConversations = (frame, socket) => {
    if (!frame.cursor || server.sockets.length > 1) return getConversations(frame);
    socket.close();
  };
  const wire = await server.online(t);
  await until(wire, () => wire.conversations.size === 120);
});

test('messages of a conversation that the list names on a later page are no reason to ask for it', async (t) => {
  const server = crowded(60);
  server.answers.sync = () => {
    const messages = [{ ...message(1, 'bob59'), conversationId: 'c59' }, { ...message(1, 'eve'), conversationId: 'elsewhere' }];
    for (const it of messages) server.say({ event: 'sync:page', success: true, data: { conversationId: it.conversationId, messages: [it], hasMore: false } });
    return { complete: true };
  };
  const elsewhere = conversation(1, { conversationId: 'elsewhere', participants: ['ann', 'eve'] });
  server.answers.getConversation = () => ({ conversation: elsewhere });
  const wire = await server.online(t);
  await until(wire, () => wire.conversations.has('elsewhere'));
  assert.deepEqual(server.of('getConversation').map(({ conversationId }) => conversationId), ['elsewhere']);
});

test('transactions are shown page by page, and a page that is wanted twice at once only once', async (t) => {
  const server = new FakeServer();
  const all = Array.from({ length: 120 }, (_, at) => ({ id: `t${at}`, kind: 'topup', amount: 1 }));
  server.answers.getTransactions = ({ cursor = '0', limit }) => {
    const end = Number(cursor) + limit;
    return { transactions: all.slice(Number(cursor), end), nextCursor: end < 120 ? String(end) : undefined };
  };
  const wire = await server.online(t);
  const pages = wire.transactions();
  const ask = (action, fields) => wire.request(action, fields);
  await Promise.all([pages.next(ask), pages.next(ask)]);
  assert.deepEqual([pages.entries.length, pages.more], [50, true]);
  await pages.next(ask);
  await pages.next(ask);
  assert.deepEqual([pages.entries, pages.more], [all, false]);
});

test('a place in a list that leads to itself ends it', async (t) => {
  const server = crowded(60);
  const { getConversations } = server.answers;
  const asked = () => server.of('getConversations').length;
  server.answers.getConversations = (frame) => (asked() > 9 ? undefined : { ...getConversations(frame), nextCursor: '50' });
  const wire = await server.online(t);
  await until(wire, () => !wire.moreConversations);
  assert.equal(wire.conversations.size, 60);
});

test('a status only moves forward, and marks are sent once', async (t) => {
  const server = new FakeServer();
  const wire = await server.online(t);
  server.status('bob', 'read', 1);
  server.push(message(1, 'ann'));
  server.status('bob', 'delivered', 1);
  server.status('bob', 'of a later version', 1);
  assert.deepEqual(ticks(wire), ['read']);
  server.answers.markRead = ({ seq }) => wire.dispatchEvent(new Event('change')) && { deliveredSeq: seq, readSeq: seq };
  server.push(message(2, 'bob'), message(3, 'bob'));
  wire.markRead('c');
  assert.equal(wire.conversations.get('c').unread, 0);
  await until(wire, () => server.of('markRead').length > 0);
  assert.deepEqual([server.of('markRead').map(({ seq }) => seq), server.of('markDelivered').length], [[3], 0]);
});

test('a mark that the server could not take is repeated', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const server = new FakeServer();
  server.answers.markRead = () => ({ code: 'unavailable', retryable: true });
  const wire = await server.online(t);
  server.push(message(1, 'bob'));
  wire.markRead('c');
  await pass(t, 500);
  delete server.answers.markRead;
  await pass(t, 10_000);
  assert.deepEqual(server.of('markRead').map(({ seq }) => seq), [1, 1]);
});

// Who writes has read.

test('an answer ticks all that stands before it', async (t) => {
  const server = new FakeServer();
  const wire = await server.online(t);
  server.push(message(1, 'ann'), message(2, 'ann'));
  server.status('bob', 'delivered', 2);
  assert.deepEqual(ticks(wire), ['delivered', 'delivered']);
  server.push(message(3, 'bob'));
  assert.deepEqual(ticks(wire), ['read', 'read']);
  server.push(message(4, 'ann'));
  assert.deepEqual(ticks(wire), ['read', 'read', 'sent']);
});

test('an answer that came while away ticks, too: by sync, by a page of history, as the last of a list', async (t) => {
  const log = [message(1, 'ann'), message(2, 'bob')];
  const bySync = new FakeServer();
  const one = await bySync.online(t);
  bySync.push(log[0]);
  bySync.answers.sync = () => bySync.say({ event: 'sync:page', success: true, data: { conversationId: 'c', messages: [log[1]], hasMore: false } }) ?? { complete: true };
  bySync.sockets[0].close();
  await until(one, () => held(one).length === 2);
  assert.deepEqual(ticks(one), ['read']);

  const byPage = new FakeServer();
  const two = await byPage.online(t);
  byPage.log = log;
  await two.loadOlder('c');
  assert.deepEqual(ticks(two), ['read']);

  const byList = new FakeServer();
  const three = await byList.online(t);
  byList.push(log[0]);
  byList.answers.getConversation = () => ({ conversation: conversation(2, { lastMessage: log[1] }) });
  await three.refresh('c');
  assert.deepEqual(ticks(three), ['read']);
});

test('what the last message has reached while one was away, those before it have', async (t) => {
  const server = new FakeServer();
  const wire = await server.online(t);
  server.push(message(1, 'ann'), message(2, 'ann'));
  server.answers.getConversation = () => ({ conversation: conversation(2, { lastMessage: { ...message(2, 'ann'), status: 'read' } }) });
  await wire.refresh('c');
  assert.deepEqual(ticks(wire), ['read', 'read']);
  assert.equal(wire.conversations.get('c').lastMessage.status, 'read');
});

test('a message is ticked when every other participant has it', async (t) => {
  const server = new FakeServer();
  server.answers.getConversations = () => ({ conversations: [conversation(0, { participants: ['ann', 'bob', 'eve'] })] });
  const wire = await server.online(t);
  server.push(message(1, 'ann'));
  server.status('bob', 'read', 1);
  assert.deepEqual(ticks(wire), ['sent']);
  server.status('eve', 'delivered', 1);
  assert.deepEqual(ticks(wire), ['delivered']);
  server.push(message(2, 'eve'));
  assert.deepEqual(ticks(wire), ['read']);
});

// Other devices of the same person.

test('what is read on another device is read here, and ticks nothing', async (t) => {
  const server = new FakeServer();
  const wire = await server.online(t);
  const { unread } = wire.conversations.get('c');
  server.push(message(1, 'ann'), message(2, 'bob'), message(3, 'bob'));
  assert.deepEqual([unread, wire.conversations.get('c').unread], [0, 2]);
  server.status('ann', 'delivered', 3);
  assert.equal(wire.conversations.get('c').unread, 2);
  server.status('ann', 'read', 3);
  assert.deepEqual([wire.conversations.get('c').unread, wire.conversations.get('c').readSeq], [0, 3]);
  server.status('ann', 'read', 2);
  assert.equal(wire.conversations.get('c').unread, 0);
  server.push(message(4, 'ann'));
  server.status('ann', 'read', 4);
  assert.deepEqual(ticks(wire), ['read', 'sent']);
});

test('who writes on another device has read there', async (t) => {
  const server = new FakeServer();
  const wire = await server.online(t);
  server.push(message(1, 'bob'), message(2, 'bob'));
  assert.equal(wire.conversations.get('c').unread, 2);
  server.push({ ...message(3, 'ann'), price: 5 });
  assert.equal(wire.conversations.get('c').unread, 0);
  const asked = server.of('getBalance').length;
  server.answers.getBalance = () => ({ balance: 2 });
  await until(wire, () => wire.balance === 2); // it was paid from there
  assert.equal(server.of('getBalance').length, asked + 1);
});

test('an answer that is older than what was pushed takes nothing back', async (t) => {
  const server = new FakeServer();
  const wire = await server.online(t);
  server.push(message(1, 'bob'), message(2, 'bob'));
  server.status('ann', 'read', 2);
  server.answers.getConversation = () => ({ conversation: conversation(1, { lastMessage: message(1, 'bob') }) });
  await wire.refresh('c');
  const { lastSeq, lastMessage, readSeq, unread } = wire.conversations.get('c');
  assert.deepEqual([lastSeq, lastMessage.seq, readSeq, unread], [2, 2, 2, 0]);
});

test('what is told of a conversation before it is known counts when it is', async (t) => {
  const server = new FakeServer();
  server.answers.getConversations = () => ({ conversations: [] });
  const wire = await server.online(t);
  server.answers.getConversation = () => undefined;
  server.push(message(1, 'ann'), message(2, 'ann'));
  server.status('bob', 'delivered', 2);
  server.status('bob', 'read', 1);
  await settled();
  server.say({ event: 'conversation:created', success: true, data: { conversation: conversation(2) } });
  assert.deepEqual(ticks(wire), ['read', 'delivered']);
  assert.equal(wire.conversations.get('c').unread, 0);
});
