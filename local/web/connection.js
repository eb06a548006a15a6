/**
 * One connection to the server: a socket, the requests that are open on it, and what the server pushes.
 * It opens once and closes once; what it is used for is not its concern.
 */

const FRAME_BYTES_MAX = 32 * 1024; // a larger frame would close the connection
const DOUBTS_MAX = 3; // so many errors that name nobody are believed to be a request's own
const TURN_MS = 1_000; // so long the next doubted request waits for the one before it
const PARTS = new Set(['sync:page']); // frames before the final answer

/** An error of the server (its codes), or of the way to it: `disconnected`, `timeout`. */
export class WireError extends Error {
  /** @param {{code: string, message?: string, retryable?: boolean, details?: object}} error */
  constructor({ code, message, retryable, details }) {
    super(message ?? code);
    Object.assign(this, { name: 'WireError', code, retryable: retryable ?? false, details: details ?? {} });
  }
}

/**
 * Writes JSON that any server can read: half of an emoji, which a text field can hold, becomes U+FFFD.
 * Every browser that knows the page's colours (`light-dark()`) knows `toWellFormed`.
 */
export function encode(value) {
  return JSON.stringify(value, (_, part) => (typeof part === 'string' ? part.toWellFormed() : part));
}

/** Whether a request is small enough to be sent. */
export function fits(request) {
  const longest = { requestId: `r${Number.MAX_SAFE_INTEGER}`, ...request };
  return new TextEncoder().encode(encode(longest)).length <= FRAME_BYTES_MAX;
}

export class Connection {
  /** @type {Promise<void>} resolves when the socket is open, rejects when it closes before */ opened;

  #socket;
  #onPush;
  #onClose;
  #closed = false;
  #refuse; // rejects `opened`
  #requests = 0;
  #pending = new Map(); // requestId → {requestId, clientMessageId, text, resolve, reject, timer, doubts}
  #doubted = new Set(); // requests that wait to be asked again, alone
  #turn = {}; // {request, timer} of the doubted request that is being asked again

  /**
   * @param {object} options
   * @param {string} options.url
   * @param {string} options.token a JWT
   * @param {typeof WebSocket} options.WebSocket
   * @param {(event: string, data: any) => void} options.onPush
   * @param {(expired: boolean) => void} options.onClose once; `expired`: the server takes this token no more
   */
  constructor({ url, token, WebSocket, onPush, onClose }) {
    this.#onPush = onPush;
    this.#onClose = onClose;
    this.#socket = new WebSocket(url, ['chat.v1', `bearer.${token}`]);
    this.#socket.onmessage = ({ data }) => this.#closed || this.#receive(parse(data));
    this.#socket.onclose = () => this.close();
    this.opened = new Promise((resolve, reject) => {
      this.#socket.onopen = () => resolve();
      this.#refuse = reject;
    });
    this.opened.catch(() => {}); // who waits for it is told
  }

  /** Closes the connection; what is open on it is rejected as `disconnected`. */
  close(expired = false) {
    if (this.#closed) return;
    this.#closed = true;
    const lost = () => new WireError({ code: 'disconnected', retryable: true });
    this.#doubted.clear();
    this.#refuse(lost());
    for (const request of this.#pending.values()) this.#settle(request, request.reject, lost());
    this.#socket.close();
    this.#onClose(expired);
  }

  /**
   * Asks the server. @returns {Promise<any>} the answer's `data`; rejects with a `WireError`
   * @param {string} action
   * @param {object} fields
   * @param {number} deadlineMs
   */
  ask(action, fields, deadlineMs) {
    const requestId = `r${++this.#requests}`;
    const frame = { action, requestId, ...fields };
    return new Promise((resolve, reject) => {
      if (this.#closed) throw new WireError({ code: 'disconnected', retryable: true });
      if (!fits(frame)) throw new WireError({ code: 'payload_too_large' });
      const { clientMessageId } = fields;
      const request = { requestId, clientMessageId, text: encode(frame), resolve, reject, doubts: 0 };
      const expire = () => this.#settle(request, reject, new WireError({ code: 'timeout', retryable: true }));
      request.timer = setTimeout(expire, deadlineMs);
      this.#pending.set(requestId, request);
      this.#socket.send(request.text);
    });
  }

  #receive(frame) {
    const { event, requestId, clientMessageId, success, data } = frame;
    if (PARTS.has(event)) return this.#onPush(event, data);
    const request = this.#pending.get(requestId) ?? this.#sending(clientMessageId);
    if (success) return request ? this.#settle(request, request.resolve, data) : this.#onPush(event, data);
    // The platform answers for a function that died: without an event, and with a requestId of its own.
    const died = event === undefined && frame.message !== undefined;
    if (success !== false && !died) return;
    const error = new WireError(frame.error ?? { code: 'internal', message: frame.message, retryable: true });
    if (error.code === 'token_expired') return this.close(true);
    if (request) return this.#settle(request, request.reject, error);
    if (died || (requestId ?? clientMessageId ?? undefined) === undefined) this.#doubt(error);
  }

  #sending(clientMessageId) {
    if (!clientMessageId) return undefined;
    return [...this.#pending.values()].find((request) => request.clientMessageId === clientMessageId);
  }

  #settle(request, how, value) {
    clearTimeout(request.timer);
    this.#pending.delete(request.requestId);
    this.#doubted.delete(request);
    if (this.#turn.request === request) this.#takeTurn();
    how(value);
  }

  /**
   * An error that names nobody is about one of the open requests. They are asked again one at a time, as every request
   * may be: the others get their answers, and the one that is refused whenever its turn comes is the one that was meant.
   */
  #doubt(error) {
    this.#endTurn();
    for (const request of this.#pending.values()) {
      if (this.#doubted.has(request)) continue; // was not asked again yet
      request.doubts += 1;
      if (request.doubts < DOUBTS_MAX) this.#doubted.add(request);
      else this.#settle(request, request.reject, error);
    }
    this.#takeTurn();
  }

  #takeTurn() {
    this.#endTurn();
    const [request] = this.#doubted;
    if (!request) return;
    this.#doubted.delete(request);
    this.#turn = { request, timer: setTimeout(() => this.#takeTurn(), TURN_MS) };
    this.#socket.send(request.text);
  }

  #endTurn() {
    clearTimeout(this.#turn.timer);
    this.#turn = {};
  }
}

/** A frame's object; what isn't one is ignored. */
function parse(text) {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}
