/** For the tests: a server of one conversation, `c`, between ann and bob, and a few words to say what they see. */
import { Kept } from './kept.js';
import { Wire } from './wire.js';

const DEADLINE_MS = 10_000;
const { setTimeout } = globalThis; // the real one, also where a test moves time

export class FakeServer {
  sockets = []; // all that were opened, each with its `closed`
  frames = [];
  tokens = 0;
  log = [];
  /** An action's answer: (frame, socket) → its data, an error (with its `code`), or undefined for none. */
  answers = {
    sync: () => ({ conversations: 0, messages: 0, complete: true }),
    getConversations: () => ({ conversations: [conversation(this.log.length)] }),
    getConversation: () => ({ conversation: conversation(this.log.length) }),
    getMessages: ({ after }) => ({ conversationId: 'c', messages: this.log.slice(after), hasMore: false }),
    getPresence: () => ({ users: [] }),
    getBalance: () => ({ balance: 0 }),
    sendMessage: (frame) => this.accept(frame),
  };

  accept = ({ clientMessageId, content }) => {
    this.log.push(message(this.log.length + 1, 'ann', content, clientMessageId));
    return { message: this.log.at(-1), balance: 7 };
  };

  get Socket() {
    const server = this;
    return class {
      constructor(url, protocols) {
        server.sockets.push(Object.assign(this, { url, protocols, closed: false }));
        queueMicrotask(() => this.onopen());
      }
      send(text) {
        queueMicrotask(() => this.closed || server.take(this, JSON.parse(text)));
      }
      close() {
        this.closed = true;
        queueMicrotask(() => this.onclose());
      }
    };
  }

  /** Ann's wire to this server. */
  wire(t, { storage, ...options } = {}) {
    const token = async () => `t${++this.tokens}`;
    const kept = new Kept(storage && (() => storage));
    const wire = new Wire({ user: 'ann', url: 'ws://x', token, kept, WebSocket: this.Socket, ...options });
    t.after(() => wire.stop());
    wire.start();
    return wire;
  }

  /** Ann's wire, once it is online. */
  async online(t, options) {
    const wire = this.wire(t, options);
    await until(wire, () => wire.state === 'online');
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

  /** A page of a sync; with an error for a conversation that can't be read. */
  page(conversationId, messages, error) {
    this.say({ event: 'sync:page', success: true, data: { conversationId, messages, hasMore: false, error } });
  }

  status(userId, status, seq) {
    this.say({ event: 'message:status', success: true, data: { conversationId: 'c', userId, status, seq, at: '' } });
  }

  of(action) {
    return this.frames.filter((frame) => frame.action === action);
  }
}

export const conversation = (lastSeq, more) => ({
  conversationId: 'c', participants: ['ann', 'bob'], lastSeq, lastActivityAt: '', readSeq: 0, deliveredSeq: 0, unread: lastSeq, ...more,
});
export const message = (seq, senderId, content = `${seq}`, clientMessageId = `${senderId}-${seq}`) => ({
  conversationId: 'c', seq, senderId, content, clientMessageId, price: 0, createdAt: '2026-01-01T00:00:00.000Z', status: 'sent',
});
export const held = (wire) => wire.messages('c').map(({ seq }) => seq);
export const texts = (wire) => wire.messages('c').map(({ content }) => content);
export const ticks = (wire) => wire.messages('c').filter(({ senderId }) => senderId === 'ann').map(({ status }) => status);

/** Resolves when `happened` holds; looks after each event of the wire. */
export function until(wire, happened) {
  if (happened()) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`never: ${happened}`)), DEADLINE_MS);
    const look = () => happened() && resolve(clearTimeout(timer));
    for (const type of ['state', 'change', 'message', 'balance']) wire.addEventListener(type, look);
  });
}

/** Lets all that is ready happen: answers that are on their way, and what follows from them. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));

/** Moves the time of mocked timers on, in steps, so that what one timer starts is seen by the next. */
export async function pass(t, ms, step = 250) {
  for (let passed = 0; passed < ms; passed += step) {
    t.mock.timers.tick(step);
    await settled();
  }
}
