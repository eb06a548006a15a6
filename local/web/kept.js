/**
 * What the browser keeps for the page over a reload. A browser may keep nothing: storage can be switched off or full.
 * Nothing in here throws; who keeps something has it in memory, too, and goes on with that.
 */
export class Kept {
  #open;
  #onRefused;

  /**
   * @param {() => Storage | null} [open] looks up the browser's storage, which may throw already; without it, nothing is kept
   * @param {() => void} [onRefused] told once, when the browser has refused to keep something
   */
  constructor(open, onRefused) {
    this.#open = open;
    this.#onRefused = onRefused;
  }

  /** @returns {string | undefined} what is kept under a key */
  get(key) {
    const text = this.#try((storage) => storage.getItem(key));
    return typeof text === 'string' ? text : undefined;
  }

  /** Keeps a text; if that is refused, nothing: what was kept before would come back as if it were still so. */
  set(key, text) {
    const kept = this.#try((storage) => {
      storage.setItem(key, text);
      return true;
    });
    if (!kept) this.#try((storage) => storage.removeItem(key));
  }

  /** Forgets all. */
  clear() {
    this.#try((storage) => storage.clear());
  }

  #try(action) {
    if (!this.#open) return undefined;
    try {
      return action(this.#open());
    } catch {
      this.#onRefused?.();
      this.#onRefused = undefined;
      return undefined;
    }
  }
}
