/**
 * The wire: all that the page knows of the chat, and all that it can do there. Nothing in here touches the page.
 *
 *   const wire = new Wire({ user: 'ann', url: 'ws://127.0.0.1:3000/ws', token: () => devToken('ann') });
 *   wire.addEventListener('change', (event) => draw(event.detail.conversationId));
 *   wire.start();
 *
 * Events, each with its `detail`:
 *   state    {state, retryAt}      the connection: 'connecting', 'online', 'waiting' (until retryAt) or 'stopped'
 *   change   {conversationId?}     a conversation, its messages, its unsent messages or somebody's presence changed
 *   message  {message, how}        a message that was not held before; how: 'push', or 'sync' for what was missed
 *   typing   {conversationId, userId, typing}
 *   balance  {balance}
 *
 * Its parts, each a file: the link keeps up a connection, the outbox sends messages, the conversations are what is known,
 * a list comes in pages, and what is kept outlives a reload.
 *
 * @typedef {import('./conversations.js').Message} Message
 * @typedef {import('./conversations.js').Conversation} Conversation
 * @typedef {import('./outbox.js').Outgoing} Outgoing
 */
import { Conversations } from './conversations.js';
import { Kept } from './kept.js';
import { backoff, Link } from './link.js';
import { Outbox } from './outbox.js';
import { Pages } from './pages.js';

const SYNC_DEADLINE_MS = 60_000;
const TYPING_EVERY_MS = 3_000;
const MARK_DELAY_MS = 100; // a burst of messages is marked once
const MARK_AGAIN_MS = 10_000;
const GAP_PATIENCE_MS = 250; // pushes overtake one another; what is only late needs no question
const BALANCE_DELAY_MS = 1_000; // coins are booked shortly after their message is pushed
const SINCE_MAX = 300; // keeps a sync request well below a frame
const PRESENCE_MAX = 100;
const PAGE = 50;
const CANNOT_READ = new Set(['internal', 'unavailable']);

export class Wire extends EventTarget {
  /** @type {string} */ user;
  /** @type {Map<string, {online: boolean, lastSeenAt?: string}>} */ presence = new Map();
  /** @type {number | undefined} coins, as last told */ balance;
  /** @type {Set<string>} conversations of which the server could not read something */ unreadable = new Set();

  #link;
  #known;
  #outbox;
  #list = new Pages(); // of conversations, as it was last asked for
  #refused = new Set(); // conversations that the sync under way, or the last one, could not bring
  #early = []; // messages of conversations that the sync under way may have more to say of
  #marks = new Map(); // conversationId → {delivered, read} not yet told to the server
  #filling = new Set();
  #typingAt; // when the server was last told that the user types (ms of the page's life)
  #timers = {};

  /**
   * @param {object} options
   * @param {string} options.user the user id that the token names
   * @param {string} options.url of the WebSocket
   * @param {() => Promise<string>} options.token asked for a fresh JWT before each connection
   * @param {Kept} [options.kept] keeps unsent messages over a reload
   * @param {typeof WebSocket} [options.WebSocket] where there is no global one
   */
  constructor({ user, url, token, kept = new Kept(), WebSocket = globalThis.WebSocket }) {
    super();
    this.user = user.toWellFormed();
    this.#known = new Conversations(this.user);
    this.#link = new Link({
      url,
      token,
      WebSocket,
      sync: (ask) => this.#sync(ask),
      onPush: (event, data) => this.#pushed(event, data),
      onState: () => this.#onState(),
    });
    this.#outbox = new Outbox({
      user: this.user,
      link: this.#link,
      kept,
      onAccept: (answer) => this.#accept(answer),
      onFail: ({ conversationId, error }) => this.#known.setPrice(conversationId, error.details.price),
      onChange: (conversationId) => this.#emit('change', { conversationId }),
    });
  }

  /** Connects, and keeps connecting until `stop`. Unsent messages go out as soon as the connection is up. */
  start() {
    this.#link.start();
    this.#outbox.start();
  }

  /** Closes the connection for good. */
  stop() {
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    this.#link.stop();
  }

  /** Makes sure that the connection lives, or connects at once instead of waiting. */
  check() {
    this.#link.check();
  }

  /** Asks the server for anything, see `Link`. */
  request(action, fields) {
    return this.#link.request(action, fields);
  }

  get state() {
    return this.#link.state;
  }

  get retryAt() {
    return this.#link.retryAt;
  }

  /** @returns {Map<string, Conversation>} */
  get conversations() {
    return this.#known.byId;
  }

  /** @returns {boolean} whether the list of conversations goes on behind those that are known */
  get moreConversations() {
    return this.#list.more;
  }

  /** @returns {number} how many conversations the list has left out, as the server can't read them now */
  get skippedConversations() {
    return this.#list.skipped;
  }

  #emit(type, detail = {}) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #onState() {
    const { state, retryAt } = this.#link;
    this.#emit('state', { state, retryAt });
    if (state !== 'online') return;
    this.#hold(this.#early.splice(0), 'push');
    this.#flushMarks();
    this.refreshBalance().catch(() => {});
    this.refreshPresence();
    this.#completeHeld();
  }

  // What the server tells

  #pushed(event, data) {
    if (event === 'sync:page') this.#synced(data);
    if (event === 'message:new') this.#pushedMessage(data.message);
    if (event === 'message:sent') this.#accept(data); // answered after its deadline
    if (event === 'message:status') this.#moved(data);
    if (event === 'conversation:created') this.#know(data.conversation);
    if (event === 'typing') this.#emit('typing', data);
    const somebody = data?.message?.senderId ?? data?.userId;
    if (somebody && somebody !== this.user) this.presence.set(somebody, { online: true });
  }

  #synced({ conversationId, messages, error }) {
    this.#hold(messages, this.state === 'online' ? 'push' : 'sync');
    if (!error) return;
    this.#known.stay(conversationId);
    this.#refused.add(conversationId);
    this.#setUnreadable(conversationId);
  }

  #setUnreadable(conversationId) {
    this.unreadable.add(conversationId);
    this.#emit('change', { conversationId });
  }

  /** Before the sync is done, what comes before the first message of a conversation may still be on its way. */
  #pushedMessage(message) {
    const early = this.state !== 'online' && this.#known.lowest(message.conversationId) === undefined;
    if (early) this.#early.push(message);
    else this.#hold([message], 'push');
  }

  #moved(status) {
    this.#known.moved(status);
    this.#emit('change', { conversationId: status.conversationId });
  }

  #know(conversation) {
    this.#known.know(conversation);
    this.#complete(conversation.conversationId);
    return conversation;
  }

  #hold(messages, how) {
    const fresh = this.#known.hold(messages);
    for (const message of messages) if (message.senderId === this.user) this.#outbox.discard(message);
    for (const message of how === 'page' ? [] : fresh) {
      if (message.price > 0) this.#balanceSoon(); // earned, or paid from another device
      this.#emit('message', { message, how });
    }
    for (const id of new Set(messages.map(({ conversationId }) => conversationId))) {
      if (this.#known.gap(id) === undefined) this.unreadable.delete(id);
      this.#complete(id);
    }
  }

  #accept({ message, balance }) {
    this.#hold([message], 'page');
    this.#known.setPrice(message.conversationId, message.price);
    if (balance !== undefined) this.#setBalance(balance);
  }

  /** Sees to what a conversation with new messages still lacks. */
  #complete(conversationId) {
    const unknown = !this.conversations.has(conversationId);
    if (unknown && this.state === 'online') this.refresh(conversationId).catch(() => {});
    if (!this.#filling.has(conversationId) && this.#known.gap(conversationId) !== undefined) {
      this.#filling.add(conversationId);
      setTimeout(() => this.#fill(conversationId), GAP_PATIENCE_MS);
    }
    this.#mark(conversationId, 'delivered');
    this.#emit('change', { conversationId });
  }

  /** As for those that aren't known: while the list goes on, it may name them. */
  #completeHeld() {
    const listed = (id) => !this.#list.more || this.conversations.has(id);
    for (const conversationId of this.#known.held().filter(listed)) this.#complete(conversationId);
  }

  // What the server is asked

  async #sync(ask) {
    let done;
    let since;
    this.#refused = new Set();
    do {
      since = JSON.stringify(this.#since());
      done = await ask('sync', { since: JSON.parse(since) }, SYNC_DEADLINE_MS);
    } while (!done.complete && since !== JSON.stringify(this.#since()));
    if (done.complete) this.#forgetUnreadable();
    const list = new Pages('getConversations', 'conversations', PAGE);
    await this.#listPage(list, ask);
    this.#list = list;
    this.#listRest(list);
  }

  /** A sync that was complete has read all but what it has refused. */
  #forgetUnreadable() {
    for (const id of this.unreadable) if (!this.#refused.has(id)) this.unreadable.delete(id);
  }

  async #listPage(list, ask) {
    for (const conversation of await list.next(ask)) this.#know(conversation);
    this.#emit('change'); // an empty page may be the last
  }

  /** Goes on with the list to its end, while the connection is used already: it may have many pages. */
  async #listRest(list) {
    if (!list.more) return;
    const wanted = () => list === this.#list && this.state !== 'stopped';
    for (let failures = 0; list.more && wanted(); ) {
      try {
        await this.#listPage(list, (action, fields) => this.request(action, fields));
        failures = 0;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, backoff(failures++)));
      }
    }
    if (!wanted()) return;
    this.#completeHeld();
    this.refreshPresence();
  }

  /** The numbers to go on from; a conversation that isn't named goes on from what is marked as delivered. */
  #since() {
    const numbers = this.#known.held().map((id) => [id, this.#known.top(id)]);
    return Object.fromEntries(numbers.filter(([, top]) => top > 0).slice(0, SINCE_MAX));
  }

  async #fill(conversationId) {
    try {
      for (let gap; (gap = this.#known.gap(conversationId)) !== undefined; ) {
        const page = await this.request('getMessages', { conversationId, after: gap - 1, limit: PAGE });
        if (!(page.messages.at(-1)?.seq >= gap)) break; // not there yet
        this.#hold(page.messages, 'push');
        this.#known.skip(conversationId, gap, page.messages.at(-1).seq);
      }
      this.#mark(conversationId, 'delivered');
    } catch ({ code }) {
      // The next message, or the next time online, tries again.
      if (CANNOT_READ.has(code)) this.#setUnreadable(conversationId);
    } finally {
      this.#filling.delete(conversationId);
    }
  }

  /** @returns {Message[]} what is held of a conversation, in order */
  messages(conversationId) {
    return this.#known.messages(conversationId);
  }

  /** @returns {boolean} whether there may be messages before the held ones */
  hasOlder(conversationId) {
    return this.#known.hasOlder(conversationId);
  }

  /** Loads the page before the held messages; the newest one when none is held. */
  async loadOlder(conversationId) {
    const before = this.#known.lowest(conversationId);
    const page = await this.request('getMessages', { conversationId, before, limit: PAGE });
    this.#hold(page.messages, 'page');
    if (!page.hasMore || this.#known.lowest(conversationId) === before) this.#known.begins(conversationId);
    this.#emit('change', { conversationId });
  }

  /** Asks again for what could not be read of a conversation. */
  async readAgain(conversationId) {
    if (!this.#known.messages(conversationId).length) await this.loadOlder(conversationId);
    await this.refresh(conversationId);
    await this.#fill(conversationId);
    if (this.#known.gap(conversationId) === undefined) this.unreadable.delete(conversationId);
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
    const others = [...new Set(people)].filter((id) => id !== this.user);
    try {
      while (others.length && this.state === 'online') {
        const { users } = await this.request('getPresence', { userIds: others.splice(0, PRESENCE_MAX) });
        for (const user of users) this.presence.set(user.userId, user);
        this.#emit('change');
      }
    } catch {
      // It is asked for again before long.
    }
  }

  /** What has moved the user's coins, the latest first; its pages are asked for with `request`. @returns {Pages} */
  transactions() {
    return new Pages('getTransactions', 'transactions', PAGE);
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
    this.#timers.balance = setTimeout(() => this.refreshBalance().catch(() => {}), BALANCE_DELAY_MS);
  }

  // What the user does

  /**
   * Sends a message, now or when the connection is back. It is in `outgoing` until the server has numbered it.
   * @param {string} conversationId
   * @param {string} content
   * @param {number} maxPrice the price that the sender has seen
   * @throws {import('./connection.js').WireError} when it is too long ever to be sent
   */
  send(conversationId, content, maxPrice) {
    this.#outbox.send(conversationId, content, maxPrice);
  }

  /** Tries a failed message again, at the price that the sender has seen now. */
  retry(outgoing, maxPrice) {
    this.#outbox.retry(outgoing, maxPrice);
  }

  /** Forgets an unsent message. */
  discard(outgoing) {
    this.#outbox.discard(outgoing);
  }

  /** @returns {Outgoing[]} the messages of a conversation that the server has not accepted */
  outgoing(conversationId) {
    return this.#outbox.of(conversationId);
  }

  /** Says that the user has seen all that is held of a conversation. */
  markRead(conversationId) {
    this.#mark(conversationId, 'read');
  }

  #mark(conversationId, kind) {
    const seq = this.#known.mark(conversationId, kind);
    if (seq === undefined) return;
    this.#marks.set(conversationId, { delivered: 0, read: 0, ...this.#marks.get(conversationId), [kind]: seq });
    this.#timers.marks ??= setTimeout(() => this.#flushMarks(), MARK_DELAY_MS);
    this.#emit('change', { conversationId });
  }

  #flushMarks() {
    for (const name of ['marks', 'marksAgain']) {
      clearTimeout(this.#timers[name]);
      this.#timers[name] = undefined;
    }
    if (this.state !== 'online') return; // coming online flushes
    for (const [conversationId, marks] of this.#marks) {
      this.#marks.delete(conversationId);
      const { delivered, read } = marks;
      const [action, seq] = read >= delivered ? ['markRead', read] : ['markDelivered', delivered];
      const again = ({ retryable }) => retryable && this.#markAgain(conversationId, marks);
      this.request(action, { conversationId, seq }).catch(again);
    }
  }

  #markAgain(conversationId, marks) {
    const { delivered, read } = this.#marks.get(conversationId) ?? marks;
    const furthest = { delivered: Math.max(marks.delivered, delivered), read: Math.max(marks.read, read) };
    this.#marks.set(conversationId, furthest);
    this.#timers.marksAgain ??= setTimeout(() => this.#flushMarks(), MARK_AGAIN_MS);
  }

  /** Says that the user types, or has stopped; as often as one likes, it is told every few seconds. */
  typing(conversationId, typing) {
    const now = performance.now();
    const due = typing ? !(now - this.#typingAt < TYPING_EVERY_MS) : this.#typingAt !== undefined;
    if (!due || this.state !== 'online') return;
    this.#typingAt = typing ? now : undefined;
    this.#link.ask('typing', { conversationId, typing }).catch(() => {});
  }
}
