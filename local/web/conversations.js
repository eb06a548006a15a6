/**
 * What is known of conversations: their messages by number, and how far everybody has come in them. Nothing in here asks.
 *
 * A person's horizons only move forward. They are told by a status; by a message of that person, as who writes has read
 * what stands before it; and by what an own message has reached, as that is what everybody has reached. The own horizons
 * say what is unread, those of the others how far the own messages have come.
 *
 * @typedef {{conversationId: string, seq: number, senderId: string, clientMessageId: string, content: string,
 *   price: number, createdAt: string, status: 'sent'|'delivered'|'read', deleted?: true}} Message
 * @typedef {{conversationId: string, kind: string, participants?: string[], lastSeq: number, lastMessage?: Message,
 *   lastActivityAt: string, readSeq: number, deliveredSeq: number, unread: number, price?: number}} Conversation
 */

const STATUSES = ['sent', 'delivered', 'read'];
const NOWHERE = { delivered: 0, read: 0 };

export class Conversations {
  /** @type {Map<string, Conversation>} */ byId = new Map();

  #user;
  #held = new Map(); // conversationId → Map of seq → Message, or null where the server has nothing to show
  #beginnings = new Set(); // conversations held from their first message
  #starts = new Map(); // conversationId → the number that was reached when nothing was held and what follows could not be read
  #horizons = new Map(); // conversationId → Map of userId → {delivered, read}

  /** @param {string} user whose conversations these are */
  constructor(user) {
    this.#user = user;
  }

  /** Takes what the server says of a conversation; an answer may be older than what was pushed meanwhile. */
  know(conversation) {
    const { conversationId, readSeq, deliveredSeq, lastMessage } = conversation;
    const known = this.byId.get(conversationId)?.lastMessage;
    if (this.#waits(conversationId)) this.#starts.set(conversationId, deliveredSeq);
    this.byId.set(conversationId, conversation);
    this.#move(conversationId, this.#user, 'delivered', deliveredSeq);
    this.#move(conversationId, this.#user, 'read', readSeq);
    if (lastMessage) this.#learn(lastMessage);
    if (known?.seq > conversation.lastSeq) this.#advance(known);
    for (const message of this.messages(conversationId)) this.#advance(message);
    this.#derive(conversationId);
    return conversation;
  }

  /**
   * Keeps messages by number. What is held already only moves forward: pushes come twice and out of order.
   * @returns {Message[]} those that were not held before
   */
  hold(messages) {
    const fresh = [];
    for (const message of messages) {
      const { conversationId, seq } = message;
      if (!this.#held.has(conversationId)) this.#held.set(conversationId, new Map());
      const held = this.#held.get(conversationId);
      const known = held.get(seq);
      const kept = { ...message, status: furthest(message.status, known?.status) };
      held.set(seq, kept);
      if (!known) fresh.push(kept);
      this.#learn(kept);
      this.#advance(kept);
    }
    for (const id of new Set(messages.map(({ conversationId }) => conversationId))) this.#derive(id);
    return fresh;
  }

  /** Takes a `message:status`: of somebody else, or of the user, who has looked on another device. */
  moved({ conversationId, userId, status, seq }) {
    if (this.#move(conversationId, userId, status, seq)) this.#derive(conversationId);
  }

  /** Moves the user's own horizon to the end of what is held. @returns {number | undefined} its number, if it moved */
  mark(conversationId, kind) {
    const seq = this.top(conversationId);
    if (!this.#move(conversationId, this.#user, kind, seq)) return undefined;
    this.#derive(conversationId);
    return seq;
  }

  /** @returns {Message[]} what is held of a conversation, in order */
  messages(conversationId) {
    const held = [...(this.#held.get(conversationId)?.values() ?? [])];
    return held.filter((message) => message).sort((a, b) => a.seq - b.seq);
  }

  /** @returns {string[]} the conversations of which anything is held, those with the latest activity first */
  held() {
    const active = (id) => this.byId.get(id)?.lastActivityAt ?? '';
    return [...this.#held.keys()].sort((a, b) => (active(a) < active(b) ? 1 : -1));
  }

  /** The lowest number that is held, if any. There may be more of them than a function can have arguments. */
  lowest(conversationId) {
    const numbers = [...(this.#held.get(conversationId)?.keys() ?? [])];
    return numbers.length ? numbers.reduce((one, other) => Math.min(one, other)) : undefined;
  }

  /** The highest number up to which a conversation is held without a gap. */
  top(conversationId) {
    const held = this.#held.get(conversationId);
    let top = this.#starts.get(conversationId) ?? this.lowest(conversationId) ?? 0;
    while (held?.has(top + 1)) top += 1;
    return top;
  }

  /** The first number that is missing above the lowest held one, if any. */
  gap(conversationId) {
    const held = this.#held.get(conversationId);
    const known = this.byId.get(conversationId)?.lastSeq ?? 0;
    const last = [...(held?.keys() ?? [])].reduce((one, other) => Math.max(one, other), known);
    const next = this.top(conversationId) + 1;
    return held && next <= last && !this.#waits(conversationId) ? next : undefined;
  }

  /** Notes that what follows the reached number can't be read now: the number stays, whatever is held of what follows. */
  stay(conversationId) {
    if (this.#held.has(conversationId)) return; // and so is what follows the number
    this.#starts.set(conversationId, this.#horizon(conversationId, this.#user).delivered);
  }

  /** Whether the number that is reached is still to be told. */
  #waits(conversationId) {
    return this.#starts.has(conversationId) && !this.byId.has(conversationId);
  }

  /** Notes that the server has nothing to show at the numbers of this range that are not held. */
  skip(conversationId, from, to) {
    const held = this.#held.get(conversationId);
    for (let seq = from; seq <= to; seq += 1) if (!held.has(seq)) held.set(seq, null);
  }

  /** Notes that nothing comes before what is held. */
  begins(conversationId) {
    this.#beginnings.add(conversationId);
  }

  /** @returns {boolean} whether there may be messages before the held ones */
  hasOlder(conversationId) {
    return !this.#beginnings.has(conversationId) && !this.#held.get(conversationId)?.has(1);
  }

  /** Sets what a message costs, as the server has just said; nothing if it didn't. */
  setPrice(conversationId, price) {
    const conversation = this.byId.get(conversationId);
    if (conversation && price !== undefined) conversation.price = price;
  }

  #advance(message) {
    const conversation = this.byId.get(message.conversationId);
    if (!conversation || message.seq < conversation.lastSeq) return;
    Object.assign(conversation, { lastSeq: message.seq, lastMessage: message, lastActivityAt: message.createdAt });
  }

  #horizon(conversationId, userId) {
    return this.#horizons.get(conversationId)?.get(userId) ?? NOWHERE;
  }

  /** Moves a horizon forward; who has read a message has it. @returns {boolean} whether it has moved */
  #move(conversationId, userId, kind, seq) {
    const horizon = this.#horizon(conversationId, userId);
    if (!(seq > horizon[kind])) return false;
    if (!this.#horizons.has(conversationId)) this.#horizons.set(conversationId, new Map());
    const delivered = Math.max(horizon.delivered, seq);
    this.#horizons.get(conversationId).set(userId, { ...horizon, delivered, [kind]: seq });
    return true;
  }

  /** Takes what a message says of everybody's horizons. */
  #learn({ conversationId, senderId, seq, status }) {
    this.#move(conversationId, senderId, 'read', seq);
    if (senderId !== this.#user) return;
    for (const id of this.#others(conversationId)) this.#move(conversationId, id, status, seq);
  }

  /** Derives from the horizons what is unread, and the status of each message. */
  #derive(conversationId) {
    const conversation = this.byId.get(conversationId);
    if (!conversation) return;
    const { delivered, read } = this.#horizon(conversationId, this.#user);
    const unread = Math.max(0, conversation.lastSeq - read);
    Object.assign(conversation, { deliveredSeq: delivered, readSeq: read, unread });
    const reached = this.#reached(conversationId);
    for (const message of [...this.messages(conversationId), conversation.lastMessage]) {
      const status = message?.seq <= reached.read ? 'read' : message?.seq <= reached.delivered ? 'delivered' : 'sent';
      if (message) message.status = furthest(message.status, status);
    }
  }

  #others(conversationId) {
    const { participants = [] } = this.byId.get(conversationId) ?? {};
    return participants.filter((id) => id !== this.#user);
  }

  /** The number that every other participant has reached. */
  #reached(conversationId) {
    const others = this.#others(conversationId).map((id) => this.#horizon(conversationId, id));
    if (!others.length) return NOWHERE;
    const least = (kind) => Math.min(...others.map((horizon) => horizon[kind]));
    return { delivered: least('delivered'), read: least('read') };
  }
}

const furthest = (one, other) => STATUSES[Math.max(0, STATUSES.indexOf(one), STATUSES.indexOf(other))];
