/** A list that the server tells in pages. It is asked for page by page, as far as somebody wants it, to its end. */
export class Pages {
  /** @type {any[]} the entries of all pages so far */ entries = [];
  /** Whether there may be more of them. */ more = true;
  /** How many the server has left out, as it can't read them now. */ skipped = 0;

  #action;
  #name;
  #limit;
  #cursor;
  #asked; // the page that is on its way

  /**
   * @param {string} action asks for a page
   * @param {string} name what the answer calls its entries
   * @param {number} [limit] how many of them a page has at most
   */
  constructor(action, name, limit) {
    this.#action = action;
    this.#name = name;
    this.#limit = limit;
  }

  /**
   * Asks for the next page, once, however often it is wanted meanwhile.
   * @param {(action: string, fields: object) => Promise<any>} ask
   * @returns {Promise<any[]>} its entries
   */
  next(ask) {
    this.#asked ??= this.#ask(ask).finally(() => (this.#asked = undefined));
    return this.#asked;
  }

  async #ask(ask) {
    const page = await ask(this.#action, { cursor: this.#cursor, limit: this.#limit });
    const next = page.nextCursor ?? undefined;
    this.more = next !== undefined && next !== this.#cursor; // the same place again would have no end
    this.#cursor = next;
    this.skipped += page.skipped ?? 0;
    this.entries.push(...page[this.#name]);
    return page[this.#name];
  }
}
