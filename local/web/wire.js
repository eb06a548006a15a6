/**
 * The wire: one connection to the chat server, and all that is known through it. Nothing in here touches the page.
 *
 *   const wire = new Wire({ user: 'ann', url: 'ws://127.0.0.1:3000/ws', token: () => devToken('ann') });
 *   wire.addEventListener('change', (event) => draw(event.detail.conversationId));
 *   wire.start();
 *
 * Events, each with its `detail`:
 *   state    {state, retryAt}      the connection: 'connecting', 'online', 'waiting' (until retryAt) or 'stopped'
 *   change   {conversationId?}     a conversation, its messages, its unsent messages or somebody's presence changed
 *   message  {message, how}        a message that was not held before; how: 'push', or 'sync' for what was missed
 *   typing   {conversationId, userId, typing, expiresAt}
 *   balance  {balance}
 *
 * @typedef {{conversationId: string, seq: number, senderId: string, clientMessageId: string, content: string,
 *   price: number, createdAt: string, status: 'sent'|'delivered'|'read', deleted?: true}} Message
 * @typedef {{conversationId: string, kind: string, participants?: string[], lastSeq: number, lastMessage?: Message,
 *   lastActivityAt: string, readSeq: number, deliveredSeq: number, unread: number, price?: number}} Conversation
 * @typedef {{conversationId: string, senderId: string, clientMessageId: string, content: string, maxPrice: number,
 *   createdAt: string, state: 'sending'|'failed', error?: {code: string, details: object}}} Outgoing
 */

const DEADLINE_MS = 15_000;
const SYNC_DEADLINE_MS = 60_000;
const HANDSHAKE_DEADLINE_MS = 10_000;
const PING_DEADLINE_MS = 5_000;
const PING_EVERY_MS = 5 * 60_000; // an idle connection is closed after ten minutes
const BACKOFF_FIRST_MS = 1_000;
const BACKOFF_MAX_MS = 30_000;
const SEND_TRIES_MAX = 5;
const TYPING_EVERY_MS = 3_000;
const MARK_DELAY_MS = 100; // a burst of messages is marked once
const GAP_PATIENCE_MS = 250; // pushes overtake one another; what is only late needs no question
const EARNING_DELAY_MS = 1_000; // an earning is booked shortly after its message is pushed
const FRAME_BYTES_MAX = 32 * 1024; // a larger frame would close the connection
const SINCE_MAX = 300; // keeps a sync request well below a frame
const PRESENCE_MAX = 100;
const PAGE = 50;

const STATUSES = ['sent', 'delivered', 'read'];
const CONNECTION_ERRORS = new Set(['disconnected', 'token_expired']);
const NEW_ID_ERRORS = new Set(['send_expired', 'client_message_id_reused']);

/** An error of the server (its codes), or of the way to it: `disconnected`, `timeout`. */
export class WireError extends Error {
  /** @param {{code: string, message?: string, retryable?: boolean, details?: object}} error */
  constructor({ code, message = code, retryable = false, details = {} }) {
    super(message);
    Object.assign(this, { name: 'WireError', code, retryable, details });
  }
}

export class Wire extends EventTarget {
  /** @type {Map<string, Conversation>} */ conversations = new Map();
  /** @type {Map<string, {online: boolean, lastSeenAt?: string}>} */ presence = new Map();
  /** @type {number | undefined} coins, as last told */ balance;
  /** @type {'stopped'|'connecting'|'online'|'waiting'} */ state = 'stopped';
  /** @type {number | undefined} when the next attempt starts (ms since 1970), while waiting */ retryAt;

  #options;
  #connection = null; // {socket} of the current attempt; a new object each time, so that late events are recognised
  #failures = 0; // attempts since the last time online
  #requests = 0;
  #pending = new Map(); // requestId → {resolve, reject, timer}
  #held = new Map(); // conversationId → Map of seq → Message, or null where the server has nothing to show
  #beginnings = new Set(); // conversations held from their first message
  #horizons = new Map(); // conversationId → {delivered, read} of the other side
  #outbox; // Outgoing[], oldest first
  #sending = new Set(); // conversations with a message on its way: one at a time keeps their order
  #marks = new Map(); // conversationId → {delivered, read} not yet told to the server
  #filling = new Set();
  #typingAt = 0;
  #timers = {};

  /**
   * @param {object} options
   * @param {string} options.user the user id that the token names
   * @param {string} options.url of the WebSocket
   * @param {() => Promise<string>} options.token asked for a fresh JWT before each connection
   * @param {Storage} [options.storage] keeps unsent messages over a reload
   * @param {typeof WebSocket} [options.WebSocket] where there is no global one
   */
  constructor(options) {
    super();
    this.#options = options;
    this.#outbox = JSON.parse(options.storage?.getItem(this.#outboxKey()) ?? '[]');
  }

  get user() {
    return this.#options.user;
  }

  // Connection

  /** Connects, and keeps connecting until `stop`. Unsent messages go out as soon as the connection is up. */
  start() {
    this.#timers.ping = setInterval(() => this.check(), PING_EVERY_MS);
    this.#connect();
    for (const { conversationId } of this.#outbox) this.#pump(conversationId);
  }

  /** Closes the connection for good. */
  stop() {
    const connection = this.#connection;
    this.#connection = null;
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    connection?.socket?.close();
    this.#setState('stopped');
    this.#rejectPending();
  }

  /** Makes sure that the connection lives: pings it, or connects at once instead of waiting. */
  check() {
    const connection = this.#connection;
    if (this.state === 'waiting') this.#connect();
    if (this.state === 'online') this.#ask('ping', {}, PING_DEADLINE_MS).catch(() => this.#lost(connection));
  }

  async #connect() {
    clearTimeout(this.#timers.reconnect);
    const connection = (this.#connection = { socket: null });
    this.#setState('connecting');
    this.#timers.handshake = setTimeout(() => this.#lost(connection), HANDSHAKE_DEADLINE_MS);
    try {
      const token = await this.#options.token();
      if (connection !== this.#connection) return;
      await this.#open(connection, token);
      clearTimeout(this.#timers.handshake);
      await this.#sync();
      if (connection === this.#connection) this.#online();
    } catch {
      this.#lost(connection);
    }
  }

  #open(connection, token) {
    const Socket = this.#options.WebSocket ?? WebSocket;
    const socket = new Socket(this.#options.url, ['chat.v1', `bearer.${token}`]);
    connection.socket = socket;
    socket.onmessage = (event) => connection === this.#connection && this.#receive(JSON.parse(event.data));
    socket.onclose = () => this.#lost(connection);
    return new Promise((resolve) => {
      socket.onopen = resolve;
    });
  }

  #online() {
    this.#failures = 0;
    this.#setState('online');
    this.#flushMarks();
    this.refreshBalance().catch(() => {});
    this.refreshPresence();
    for (const conversationId of this.#held.keys()) this.#complete(conversationId);
  }

  #lost(connection, retryInMs) {
    if (connection !== this.#connection) return;
    this.#connection = null;
    clearTimeout(this.#timers.handshake);
    connection.socket?.close();
    const delay = retryInMs ?? backoff(this.#failures++);
    this.#timers.reconnect = setTimeout(() => this.#connect(), delay);
    this.#setState('waiting', Date.now() + delay);
    this.#rejectPending();
  }

  #rejectPending() {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject, timer } of pending) {
      clearTimeout(timer);
      reject(new WireError({ code: 'disconnected', retryable: true }));
    }
  }

  #setState(state, retryAt) {
    Object.assign(this, { state, retryAt });
    this.#emit('state', { state, retryAt });
  }

  /** Resolves once online; rejects when stopped, and after `deadlineMs`, if given. */
  #untilOnline(deadlineMs) {
    return new Promise((resolve, reject) => {
      const settle = (how, value) => {
        clearTimeout(timer);
        this.removeEventListener('state', look);
        how(value);
      };
      const fail = () => settle(reject, new WireError({ code: 'disconnected', retryable: true }));
      const look = () => {
        if (this.state === 'online') settle(resolve);
        if (this.state === 'stopped') fail();
      };
      const timer = deadlineMs === undefined ? undefined : setTimeout(fail, deadlineMs);
      this.addEventListener('state', look);
      look();
    });
  }

  // Frames

  /**
   * Asks the server; waits for the connection and outlives its loss, within the deadline. Every action may be repeated.
   * @param {string} action
   * @param {object} [fields]
   * @returns {Promise<any>} the answer's `data`; rejects with a `WireError`
   */
  async request(action, fields = {}, deadlineMs = DEADLINE_MS) {
    const until = Date.now() + deadlineMs;
    for (;;) {
      await this.#untilOnline(until - Date.now());
      try {
        return await this.#ask(action, fields, until - Date.now());
      } catch (error) {
        if (error.code === 'timeout') this.check();
        if (!CONNECTION_ERRORS.has(error.code)) throw error;
      }
    }
  }

  #ask(action, fields = {}, deadlineMs = DEADLINE_MS) {
    const requestId = `r${++this.#requests}`;
    const frame = JSON.stringify({ action, requestId, ...fields });
    return new Promise((resolve, reject) => {
      if (!this.#connection?.socket) throw new WireError({ code: 'disconnected', retryable: true });
      if (new TextEncoder().encode(frame).length > FRAME_BYTES_MAX) throw new WireError({ code: 'payload_too_large' });
      const expire = () => {
        this.#pending.delete(requestId);
        reject(new WireError({ code: 'timeout', retryable: true }));
      };
      this.#pending.set(requestId, { resolve, reject, timer: setTimeout(expire, deadlineMs) });
      this.#connection.socket.send(frame);
    });
  }

  #receive({ event, requestId, success, data, error }) {
    const pending = this.#pending.get(requestId);
    if (event === 'sync:page') return this.#hold(data.messages, 'sync');
    if (!pending) return success && this.#pushed(event, data);
    this.#pending.delete(requestId);
    clearTimeout(pending.timer);
    if (success) return pending.resolve(data);
    pending.reject(new WireError(error));
    if (error.code === 'token_expired') this.#lost(this.#connection, this.#failures === 0 ? 0 : undefined);
  }

  #pushed(event, data) {
    if (event === 'message:new') this.#hold([data.message], 'push');
    if (event === 'message:sent') this.#accept(data); // answered after its deadline
    if (event === 'message:status') this.#moveHorizon(data);
    if (event === 'conversation:created') this.#know(data.conversation);
    if (event === 'typing') this.#emit('typing', data);
    const somebody = data?.message?.senderId ?? data?.userId;
    if (somebody && somebody !== this.user) this.presence.set(somebody, { online: true });
  }

  #emit(type, detail = {}) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  // What is known

  async #sync() {
    let done;
    do {
      done = await this.#ask('sync', { since: this.#since() }, SYNC_DEADLINE_MS);
    } while (!done.complete && done.messages > 0);
    const { conversations } = await this.#ask('getConversations', { limit: PAGE });
    for (const conversation of conversations) this.#know(conversation);
  }

  /** The numbers to go on from; a conversation that isn't named goes on from what is marked as delivered. */
  #since() {
    const active = (id) => this.conversations.get(id)?.lastActivityAt ?? '';
    const ids = [...this.#held.keys()].sort((a, b) => (active(a) < active(b) ? 1 : -1)).slice(0, SINCE_MAX);
    return Object.fromEntries(ids.map((id) => [id, this.#top(id)]));
  }

  /** The highest number up to which a conversation is held without a gap. */
  #top(conversationId) {
    const held = this.#held.get(conversationId);
    if (!held?.size) return 0;
    let top = lowest(held);
    while (held.has(top + 1)) top += 1;
    return top;
  }

  #know(conversation) {
    const { conversationId, readSeq } = conversation;
    conversation.readSeq = Math.max(readSeq, this.conversations.get(conversationId)?.readSeq ?? 0);
    this.conversations.set(conversationId, conversation);
    for (const message of this.messages(conversationId)) this.#advance(message);
    this.#complete(conversationId);
    return conversation;
  }

  /** Keeps messages by number. What is held already only moves forward: pushes come twice and out of order. */
  #hold(messages, how) {
    for (const message of messages) {
      const { conversationId, seq, senderId } = message;
      if (!this.#held.has(conversationId)) this.#held.set(conversationId, new Map());
      const held = this.#held.get(conversationId);
      const known = held.get(seq);
      held.set(seq, { ...message, status: this.#statusOf(message, known) });
      if (senderId === this.user) this.discard(message);
      this.#advance(held.get(seq));
      if (known || how === 'page') continue;
      if (senderId !== this.user && message.price > 0) this.#balanceSoon();
      this.#emit('message', { message: held.get(seq), how });
    }
    for (const id of new Set(messages.map((message) => message.conversationId))) this.#complete(id);
  }

  /** Sees to what a conversation with new messages still lacks. */
  #complete(conversationId) {
    const unknown = !this.conversations.has(conversationId);
    if (unknown && this.state === 'online') this.refresh(conversationId).catch(() => {});
    if (!this.#filling.has(conversationId) && this.#gap(conversationId) !== undefined) {
      this.#filling.add(conversationId);
      setTimeout(() => this.#fill(conversationId), GAP_PATIENCE_MS);
    }
    this.#mark(conversationId, 'delivered');
    this.#emit('change', { conversationId });
  }

  #advance(message) {
    const conversation = this.conversations.get(message.conversationId);
    if (!conversation) return;
    if (message.seq >= conversation.lastSeq) {
      Object.assign(conversation, { lastSeq: message.seq, lastMessage: message, lastActivityAt: message.createdAt });
    }
    if (message.senderId === this.user) {
      conversation.readSeq = Math.max(conversation.readSeq, message.seq);
      conversation.deliveredSeq = Math.max(conversation.deliveredSeq, message.seq);
    }
    conversation.unread = Math.max(0, conversation.lastSeq - conversation.readSeq);
  }

  /** The furthest of what the message says, what was known of it, and how far the other side is. */
  #statusOf({ conversationId, seq, status }, known) {
    const { delivered = 0, read = 0 } = this.#horizons.get(conversationId) ?? {};
    const reached = seq <= read ? 2 : seq <= delivered ? 1 : 0;
    return STATUSES[Math.max(reached, STATUSES.indexOf(status), STATUSES.indexOf(known?.status))];
  }

  #moveHorizon({ conversationId, userId, status, seq }) {
    if (userId === this.user) return;
    const horizon = { delivered: 0, read: 0, ...this.#horizons.get(conversationId) };
    horizon[status] = Math.max(horizon[status], seq);
    this.#horizons.set(conversationId, horizon);
    const last = this.conversations.get(conversationId)?.lastMessage;
    const held = [...(this.#held.get(conversationId)?.values() ?? []), last].filter((message) => message);
    for (const message of held) message.status = this.#statusOf(message, message);
    this.#emit('change', { conversationId });
  }

  /** The first number that is missing above the lowest held one, if any. */
  #gap(conversationId) {
    const held = this.#held.get(conversationId);
    const known = this.conversations.get(conversationId)?.lastSeq ?? 0;
    const last = [...(held?.keys() ?? [])].reduce((one, other) => Math.max(one, other), known);
    const next = this.#top(conversationId) + 1;
    return held?.size && next <= last ? next : undefined;
  }

  async #fill(conversationId) {
    const held = this.#held.get(conversationId);
    try {
      for (let gap; (gap = this.#gap(conversationId)) !== undefined; ) {
        const page = await this.request('getMessages', { conversationId, after: gap - 1, limit: PAGE });
        this.#hold(page.messages, 'push');
        const end = page.messages.at(-1)?.seq ?? gap;
        for (let seq = gap; seq <= end; seq += 1) if (!held.has(seq)) held.set(seq, null);
      }
      this.#mark(conversationId, 'delivered');
    } catch {
      // The next message, or the next time online, tries again.
    } finally {
      this.#filling.delete(conversationId);
    }
  }

  /** @returns {Message[]} what is held of a conversation, in order */
  messages(conversationId) {
    const held = [...(this.#held.get(conversationId)?.values() ?? [])];
    return held.filter((message) => message).sort((a, b) => a.seq - b.seq);
  }

  /** @returns {boolean} whether there may be messages before the held ones */
  hasOlder(conversationId) {
    return !this.#beginnings.has(conversationId) && !this.#held.get(conversationId)?.has(1);
  }

  /** Loads the page before the held messages; the newest one when none is held. */
  async loadOlder(conversationId) {
    const held = this.#held.get(conversationId);
    const before = held?.size ? lowest(held) : undefined;
    const page = await this.request('getMessages', { conversationId, before, limit: PAGE });
    if (!page.hasMore) this.#beginnings.add(conversationId);
    this.#hold(page.messages, 'page');
    this.#emit('change', { conversationId });
  }

  /** Asks for a conversation anew: its price and its last number. @returns {Promise<Conversation>} */
  async refresh(conversationId) {
    return this.#know((await this.request('getConversation', { conversationId })).conversation);
  }

  /** The direct conversation with a user, made if there is none. @returns {Promise<Conversation>} */
  async openDirect(otherUserId) {
    return this.#know((await this.request('getOrCreateDirect', { otherUserId })).conversation);
  }

  /** Asks for the presence of those whom one has direct conversations with. */
  async refreshPresence() {
    const people = [...this.conversations.values()].flatMap(({ participants = [] }) => participants);
    const userIds = [...new Set(people)].filter((id) => id !== this.user).slice(0, PRESENCE_MAX);
    if (!userIds.length || this.state !== 'online') return;
    const { users } = await this.request('getPresence', { userIds }).catch(() => ({ users: [] }));
    for (const user of users) this.presence.set(user.userId, user);
    this.#emit('change');
  }

  async refreshBalance() {
    const before = this.balance;
    const { balance } = await this.request('getBalance');
    if (this.balance === before) this.#setBalance(balance); // else a message sent meanwhile told it, which is newer
  }

  #setBalance(balance) {
    this.balance = balance;
    this.#emit('balance', { balance });
  }

  #balanceSoon() {
    clearTimeout(this.#timers.balance);
    this.#timers.balance = setTimeout(() => this.refreshBalance().catch(() => {}), EARNING_DELAY_MS);
  }

  // Sending

  /**
   * Sends a message, now or when the connection is back. It is in `outgoing` until the server has numbered it.
   * @param {string} conversationId
   * @param {string} content
   * @param {number} maxPrice the price that the sender has seen
   */
  send(conversationId, content, maxPrice) {
    const outgoing = { conversationId, senderId: this.user, clientMessageId: timeOrderedId(), content };
    this.#outbox.push(outgoing);
    this.retry(outgoing, maxPrice);
  }

  /** Tries a failed message again: as the same send, unless the server has given that one up. */
  retry(outgoing, maxPrice) {
    if (NEW_ID_ERRORS.has(outgoing.error?.code)) outgoing.clientMessageId = timeOrderedId();
    Object.assign(outgoing, { maxPrice, state: 'sending', error: undefined, createdAt: new Date().toISOString() });
    this.#outboxChanged(outgoing.conversationId);
    this.#pump(outgoing.conversationId);
  }

  /** Forgets an unsent message. */
  discard({ conversationId, clientMessageId }) {
    const kept = this.#outbox.filter((outgoing) => outgoing.clientMessageId !== clientMessageId);
    if (kept.length === this.#outbox.length) return;
    this.#outbox = kept;
    this.#outboxChanged(conversationId);
  }

  /** @returns {Outgoing[]} the messages of a conversation that the server has not accepted */
  outgoing(conversationId) {
    return this.#outbox.filter((outgoing) => outgoing.conversationId === conversationId);
  }

  #outboxKey() {
    return `parley.outbox.${this.user}`;
  }

  #outboxChanged(conversationId) {
    this.#options.storage?.setItem(this.#outboxKey(), JSON.stringify(this.#outbox));
    this.#emit('change', { conversationId });
  }

  async #pump(conversationId) {
    if (this.#sending.has(conversationId)) return;
    this.#sending.add(conversationId);
    const next = () => this.outgoing(conversationId).find(({ state }) => state === 'sending');
    for (let outgoing; this.state !== 'stopped' && (outgoing = next()); ) await this.#deliver(outgoing);
    this.#sending.delete(conversationId);
  }

  /** Repeats one send, under the same id, until it is accepted, refused for good or was tried often enough. */
  async #deliver(outgoing) {
    const { conversationId, clientMessageId, content, maxPrice } = outgoing;
    for (let tries = 1; this.state !== 'stopped' && this.#outbox.includes(outgoing); ) {
      try {
        await this.#untilOnline();
        return this.#accept(await this.request('sendMessage', { conversationId, clientMessageId, content, maxPrice }));
      } catch ({ code, retryable, details = {} }) {
        if (code === 'disconnected') continue; // being offline uses up no tries
        if (!retryable || tries++ === SEND_TRIES_MAX) {
          Object.assign(outgoing, { state: 'failed', error: { code, details } });
          this.#setPrice(conversationId, details.price);
          return this.#outboxChanged(conversationId);
        }
        await new Promise((resolve) => setTimeout(resolve, details.retryAfterMs ?? backoff(tries)));
      }
    }
  }

  #accept({ message, balance }) {
    this.#hold([message], 'page');
    this.#setPrice(message.conversationId, message.price);
    if (balance !== undefined) this.#setBalance(balance);
  }

  #setPrice(conversationId, price) {
    const conversation = this.conversations.get(conversationId);
    if (conversation && price !== undefined) conversation.price = price;
  }

  // Marks

  /** Says that the user has seen all that is held of a conversation. */
  markRead(conversationId) {
    this.#mark(conversationId, 'read');
  }

  #mark(conversationId, kind) {
    const conversation = this.conversations.get(conversationId);
    const seq = this.#top(conversationId);
    const marked = conversation?.[`${kind}Seq`] ?? 0;
    if (seq <= marked) return;
    const marks = this.#marks.get(conversationId) ?? { delivered: 0, read: 0 };
    this.#marks.set(conversationId, { ...marks, [kind]: seq });
    if (conversation) conversation[`${kind}Seq`] = seq;
    if (conversation) conversation.unread = Math.max(0, conversation.lastSeq - conversation.readSeq);
    this.#timers.marks ??= setTimeout(() => this.#flushMarks(), MARK_DELAY_MS);
    this.#emit('change', { conversationId });
  }

  #flushMarks() {
    clearTimeout(this.#timers.marks);
    this.#timers.marks = undefined;
    if (this.state !== 'online') return; // coming online flushes
    for (const [conversationId, { delivered, read }] of this.#marks) {
      this.#marks.delete(conversationId);
      const [action, seq] = read >= delivered ? ['markRead', read] : ['markDelivered', delivered];
      this.request(action, { conversationId, seq }).catch(({ retryable }) => {
        if (retryable && !this.#marks.has(conversationId)) this.#marks.set(conversationId, { delivered, read });
      });
    }
  }

  /** Says that the user types, or has stopped; as often as one likes, it is told every few seconds. */
  typing(conversationId, typing) {
    const due = typing ? Date.now() - this.#typingAt > TYPING_EVERY_MS : this.#typingAt > 0;
    if (!due || this.state !== 'online') return;
    this.#typingAt = typing ? Date.now() : 0;
    this.#ask('typing', { conversationId, typing }).catch(() => {});
  }
}

/** The lowest number that is held. There may be more of them than a function can have arguments. */
function lowest(held) {
  return [...held.keys()].reduce((one, other) => Math.min(one, other));
}

/** Random within a ceiling that doubles: many clients that lost one server don't come back at once. */
function backoff(failures) {
  return Math.random() * Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** failures);
}

/** A UUID of version 7. Its order is that of time, which can save the server a look. @returns {string} */
export function timeOrderedId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const random = [...bytes.slice(6)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const hex = `${Date.now().toString(16).padStart(12, '0')}7${random.slice(1)}`;
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

// Only on one machine: the server makes any token, and an administrator's token makes coins.

async function call(method, path, body, token) {
  const authorization = token ? { authorization: `Bearer ${token}` } : {};
  const headers = { 'content-type': 'application/json', ...authorization };
  const response = await fetch(path, { method, headers, body: JSON.stringify(body) }).catch(() => {
    throw new WireError({ code: 'disconnected', retryable: true });
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new WireError(answer.error ?? { code: 'unavailable', retryable: true });
  return answer;
}

/** A token for a user. @returns {Promise<string>} */
export async function devToken(sub, roles) {
  return (await call('POST', '/dev/token', { sub, roles })).token;
}

/** Gives a user coins. */
export async function devAddCoins(userId, amount) {
  const path = `/api/wallets/${encodeURIComponent(userId)}/credits`;
  await call('POST', path, { amount, idempotencyKey: timeOrderedId() }, await devToken('admin', ['admin']));
}

/** Sets what a direct message to a user costs. */
export async function devSetPrice(userId, price) {
  await call('PUT', `/api/users/${encodeURIComponent(userId)}/price`, { price }, await devToken('admin', ['admin']));
}
