/**
 * The link to the server: keeps one connection up. It connects again when the connection is lost, and takes another one
 * before the server would stop listening to the present one.
 */
import { Connection, WireError } from './connection.js';

const DEADLINE_MS = 15_000;
const TRIES_MAX = 3; // an answer can be lost
const HANDSHAKE_DEADLINE_MS = 10_000;
const PING_DEADLINE_MS = 5_000;
const PING_EVERY_MS = 5 * 60_000; // an idle connection is closed after ten minutes
const BACKOFF_FIRST_MS = 1_000;
const BACKOFF_MAX_MS = 30_000;
const LIFE_MS = 2 * 60 * 60_000; // no connection lives longer
const RENEW_BEFORE_MS = 2 * 60_000; // a hidden page's timers run once a minute
const RENEW_MIN_MS = 1_000; // for tokens that are almost over when they come
const RENEW_AGAIN_MS = 10_000;

export class Link {
  /** @type {'stopped'|'connecting'|'online'|'waiting'} */ state = 'stopped';
  /** @type {number | undefined} when the next attempt starts (ms since 1970), while waiting */ retryAt;

  #options;
  #connection; // the one in use, while online
  #attempt; // {connection?} of the one that is being opened
  #failures = 0; // attempts since the last time online
  #waiting = new Set(); // told of each new state
  #timers = {};

  /**
   * @param {object} options
   * @param {string} options.url of the WebSocket
   * @param {() => Promise<string>} options.token asked for a fresh JWT before each connection
   * @param {typeof WebSocket} options.WebSocket
   * @param {(ask: (action: string, fields: object, deadlineMs?: number) => Promise<any>) => Promise<void>} options.sync
   *   catches up on a new connection, before it is used for anything else
   * @param {(event: string, data: any) => void} options.onPush
   * @param {() => void} options.onState
   */
  constructor(options) {
    this.#options = options;
  }

  /** Connects, and keeps connecting until `stop`. */
  start() {
    this.#timers.ping = setInterval(() => this.check(), PING_EVERY_MS);
    this.#connect();
  }

  /** Closes the connection for good. */
  stop() {
    clearInterval(this.#timers.ping);
    this.#drop();
    this.#setState('stopped');
  }

  /** Makes sure that the connection lives: pings it, or connects at once instead of waiting. */
  check() {
    if (this.state === 'waiting') this.#connect();
    const connection = this.#connection;
    const silent = ({ code }) => code === 'timeout' && connection.close(); // any error is a sign of life
    connection?.ask('ping', {}, PING_DEADLINE_MS).catch(silent);
  }

  /**
   * Asks the server; waits for the connection and when it asks too fast, outlives the connection's loss and that of an answer, within the deadline.
   * Every action may be repeated.
   * @param {string} action
   * @param {object} [fields]
   * @returns {Promise<any>} the answer's `data`; rejects with a `WireError`
   */
  async request(action, fields = {}, deadlineMs = DEADLINE_MS) {
    const until = performance.now() + deadlineMs;
    for (let silences = 0; ; ) {
      await this.untilOnline(until - performance.now());
      try {
        return await this.ask(action, fields, Math.min(deadlineMs / TRIES_MAX, until - performance.now()));
      } catch (error) {
        if (error.code === 'timeout') silences += 1;
        else if (error.code === 'rate_limited' && action !== 'sendMessage' && performance.now() < until) {
          await new Promise((resolve) => setTimeout(resolve, error.details.retryAfterMs)); // what is sent waits by itself
        } else if (error.code !== 'disconnected') throw error;
        if (silences === TRIES_MAX) throw error;
      }
    }
  }

  /** Asks the server on the present connection, and fails with it. */
  async ask(action, fields = {}, deadlineMs = DEADLINE_MS) {
    if (!this.#connection) throw disconnected();
    try {
      return await this.#connection.ask(action, fields, deadlineMs);
    } catch (error) {
      if (error.code === 'timeout') this.check();
      throw error;
    }
  }

  /** Resolves once online; rejects when stopped, and after `deadlineMs`, if given. */
  untilOnline(deadlineMs) {
    return new Promise((resolve, reject) => {
      const settle = (how, value) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        how(value);
      };
      const fail = () => settle(reject, disconnected());
      const look = () => {
        if (this.state === 'online') settle(resolve);
        if (this.state === 'stopped') fail();
      };
      const timer = deadlineMs === undefined ? undefined : setTimeout(fail, deadlineMs);
      this.#waiting.add(look);
      look();
    });
  }

  async #connect() {
    clearTimeout(this.#timers.reconnect);
    const attempt = (this.#attempt = {});
    this.#setState('connecting');
    try {
      await this.#establish(attempt);
    } catch {
      if (attempt === this.#attempt) this.#lost(false);
    }
  }

  /** Opens a connection with a fresh token and catches up on it; then it takes the place of the present one. */
  async #establish(attempt) {
    const { url, WebSocket, sync, onPush } = this.#options;
    const token = await within(HANDSHAKE_DEADLINE_MS, this.#options.token());
    if (attempt !== this.#attempt) throw disconnected();
    const onClose = (expired) => connection === this.#connection && this.#lost(expired);
    const connection = (attempt.connection = new Connection({ url, token, WebSocket, onPush, onClose }));
    await within(HANDSHAKE_DEADLINE_MS, connection.opened);
    await sync((action, fields, deadlineMs = DEADLINE_MS) => connection.ask(action, fields, deadlineMs));
    if (attempt !== this.#attempt) throw disconnected();
    const former = this.#connection;
    this.#attempt = undefined;
    this.#connection = connection;
    this.#failures = 0;
    this.#renewInTime(token);
    if (former) former.close();
    else this.#setState('online');
  }

  /** Has another connection take over before the token expires, by the server's clock, or the connection's life ends. */
  async #renewInTime(token) {
    const connection = this.#connection;
    const expiresAt = expiry(token);
    const ping = expiresAt < Infinity ? connection.ask('ping', {}, PING_DEADLINE_MS) : undefined;
    const { serverTime } = (await ping?.catch(() => {})) ?? {};
    const leftMs = Math.min(LIFE_MS, expiresAt - (Date.parse(serverTime) || Date.now()));
    if (connection !== this.#connection) return;
    this.#renewIn(Math.max(leftMs - RENEW_BEFORE_MS, leftMs / 2, RENEW_MIN_MS));
  }

  #renewIn(delayMs) {
    clearTimeout(this.#timers.renew);
    this.#timers.renew = setTimeout(() => this.#renew(), delayMs);
  }

  /** The present connection goes on meanwhile: both get pushes, and nothing is missed in between. */
  async #renew() {
    const attempt = (this.#attempt = {});
    try {
      await this.#establish(attempt);
    } catch {
      if (attempt !== this.#attempt) return;
      attempt.connection?.close();
      this.#renewIn(RENEW_AGAIN_MS);
    }
  }

  #lost(expired) {
    this.#drop();
    const delay = expired && this.#failures === 0 ? 0 : backoff(this.#failures++);
    this.#timers.reconnect = setTimeout(() => this.#connect(), delay);
    this.#setState('waiting', Date.now() + delay);
  }

  #drop() {
    clearTimeout(this.#timers.reconnect);
    clearTimeout(this.#timers.renew);
    const connections = [this.#connection, this.#attempt?.connection];
    this.#connection = this.#attempt = undefined;
    for (const connection of connections) connection?.close();
  }

  #setState(state, retryAt) {
    Object.assign(this, { state, retryAt });
    this.#options.onState();
    for (const look of [...this.#waiting]) look();
  }
}

const disconnected = () => new WireError({ code: 'disconnected', retryable: true });

/** What a promise brings, unless it takes too long. */
function within(deadlineMs, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new WireError({ code: 'timeout', retryable: true })), deadlineMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** When a token expires (ms since 1970, by the clock of its issuer); never, if it doesn't say. */
function expiry(token) {
  try {
    const [, claims] = token.split('.');
    return JSON.parse(atob(claims.replaceAll('-', '+').replaceAll('_', '/'))).exp * 1000 || Infinity;
  } catch {
    return Infinity;
  }
}

/** Random within a ceiling that doubles: many clients that lost one server don't come back at once. */
export function backoff(failures) {
  return Math.random() * Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** failures);
}
