/**
 * The messages that the server has not accepted yet. Those of one conversation go out one after the other, so they keep
 * their order; but none waits for another that gets no answer, is refused, or has to be repeated again and again.
 *
 * @typedef {{conversationId: string, senderId: string, clientMessageId: string, content: string, maxPrice: number,
 *   createdAt: string, state: 'sending'|'failed', error?: {code: string, details: object}}} Outgoing
 */
import { fits, WireError } from './connection.js';
import { backoff } from './link.js';

const TRIES_MAX = 5;
const PATIENCE_MS = 5_000; // so long an unanswered message holds back those behind it
const CONTENT_CHARS_MAX = 10_000;
const NEW_ID_ERRORS = new Set(['send_expired', 'client_message_id_reused']);

export class Outbox {
  #options;
  #outgoing; // Outgoing[], oldest first
  #underway = new Set(); // Outgoing that are on their way
  #taken = new Set(); // conversations whose messages wait for the one that is on its way

  /**
   * @param {object} options
   * @param {string} options.user who writes
   * @param {import('./link.js').Link} options.link
   * @param {import('./kept.js').Kept} options.kept keeps the messages over a reload
   * @param {(answer: {message: object, balance?: number}) => void} options.onAccept
   * @param {(outgoing: Outgoing) => void} options.onFail
   * @param {(conversationId: string) => void} options.onChange
   */
  constructor(options) {
    this.#options = options;
    this.#outgoing = unsent(options.kept.get(this.#key()), options.user);
  }

  /** Goes on with what was left. */
  start() {
    for (const { conversationId } of this.#outgoing) this.#pump(conversationId);
  }

  /**
   * Sends a message, now or when the connection is back.
   * @throws {WireError} when it is too long ever to be sent: `content_too_long`, `payload_too_large`
   */
  send(conversationId, text, maxPrice) {
    const content = text.toWellFormed(); // shown as it is sent
    const clientMessageId = timeOrderedId();
    if ([...content].length > CONTENT_CHARS_MAX) throw new WireError({ code: 'content_too_long' });
    if (!fits(request({ conversationId, clientMessageId, content, maxPrice }))) {
      throw new WireError({ code: 'payload_too_large' });
    }
    const outgoing = { conversationId, senderId: this.#options.user, clientMessageId, content };
    this.#outgoing.push(outgoing);
    this.retry(outgoing, maxPrice);
  }

  /** Tries a failed message again: as the same send, unless the server has given that one up. */
  retry(outgoing, maxPrice) {
    if (NEW_ID_ERRORS.has(outgoing.error?.code)) outgoing.clientMessageId = timeOrderedId();
    Object.assign(outgoing, { maxPrice, state: 'sending', error: undefined, createdAt: new Date().toISOString() });
    this.#changed(outgoing.conversationId);
    this.#pump(outgoing.conversationId);
  }

  /** Forgets an unsent message. */
  discard({ conversationId, clientMessageId }) {
    const kept = this.#outgoing.filter((outgoing) => outgoing.clientMessageId !== clientMessageId);
    if (kept.length === this.#outgoing.length) return;
    this.#outgoing = kept;
    this.#changed(conversationId);
  }

  /** @returns {Outgoing[]} the unsent messages of a conversation, oldest first */
  of(conversationId) {
    return this.#outgoing.filter((outgoing) => outgoing.conversationId === conversationId);
  }

  #key() {
    return `parley.outbox.${this.#options.user}`;
  }

  #changed(conversationId) {
    this.#options.kept.set(this.#key(), JSON.stringify(this.#outgoing));
    this.#options.onChange(conversationId);
  }

  async #pump(conversationId) {
    if (this.#taken.has(conversationId)) return;
    this.#taken.add(conversationId);
    const due = (outgoing) => outgoing.state === 'sending' && !this.#underway.has(outgoing);
    for (let next; this.#runs() && (next = this.of(conversationId).find(due)); ) {
      this.#underway.add(next);
      await new Promise((letNextGo) => this.#deliver(next, letNextGo).finally(letNextGo));
    }
    this.#taken.delete(conversationId);
  }

  #runs() {
    return this.#options.link.state !== 'stopped';
  }

  /** Repeats one send, under the same id, until it is accepted, refused for good or was tried often enough. */
  async #deliver(outgoing, letNextGo) {
    for (let tries = 1; this.#runs() && this.#outgoing.includes(outgoing); ) {
      try {
        await this.#options.link.untilOnline();
        this.#options.onAccept(await this.#ask(outgoing, letNextGo));
        this.discard(outgoing);
      } catch ({ code, retryable, details = {} }) {
        if (code === 'disconnected') continue; // being offline uses up no tries
        if (!retryable || tries === TRIES_MAX) {
          Object.assign(outgoing, { state: 'failed', error: { code, details } });
          this.#options.onFail(outgoing);
          this.#changed(outgoing.conversationId);
          break;
        }
        // One hiccup doesn't change the order; and who is too fast is so with every message.
        if (tries > 1 && code !== 'rate_limited') letNextGo();
        await new Promise((resolve) => setTimeout(resolve, details.retryAfterMs ?? backoff(tries)));
        tries += 1;
      }
    }
    this.#underway.delete(outgoing);
  }

  async #ask(outgoing, letNextGo) {
    const patience = setTimeout(letNextGo, PATIENCE_MS);
    try {
      return await this.#options.link.ask('sendMessage', request(outgoing));
    } finally {
      clearTimeout(patience);
    }
  }
}

function request({ conversationId, clientMessageId, content, maxPrice }) {
  return { conversationId, clientMessageId, content, maxPrice };
}

/** The messages in a text that was kept. It may be damaged or another version's: what is no message of the user is dropped. */
function unsent(text, user) {
  const outgoing = parse(text).filter((part) => isOutgoing(part, user));
  return [...new Map(outgoing.map((part) => [part.clientMessageId, part])).values()];
}

function parse(text = '[]') {
  try {
    return [JSON.parse(text)].flat();
  } catch {
    return [];
  }
}

function isOutgoing(part, user) {
  const { conversationId, senderId, clientMessageId, content, maxPrice, createdAt, state, error } = Object(part);
  const texts = [conversationId, clientMessageId, content].every((text) => text && typeof text === 'string');
  const failed = state === 'failed' && typeof error?.code === 'string' && Object(error.details) === error.details;
  const stands = typeof createdAt === 'string' && !Number.isNaN(Date.parse(createdAt)) && (state === 'sending' || failed);
  return texts && senderId === user && Number.isSafeInteger(maxPrice) && maxPrice >= 0 && stands;
}

/** A UUID of version 7. Its order is that of time, which can save the server a look. @returns {string} */
export function timeOrderedId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const random = [...bytes.slice(6)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const hex = `${Date.now().toString(16).padStart(12, '0')}7${random.slice(1)}`;
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
