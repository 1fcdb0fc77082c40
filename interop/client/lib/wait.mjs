// Waiting with a deadline. No scenario sleeps in the hope that something has happened by then: it names the
// thing it waits for, and a wait that runs out says what that was.

export const PATIENCE = 5_000;

/** Settle as `promise` does, or fail after `ms` with the name of what was awaited. */
export function within(promise, what, ms = PATIENCE) {
  let timer;
  const deadline = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms in vain for ${what}`)), ms);
  });
  const raced = Promise.race([promise, deadline]).finally(() => clearTimeout(timer));
  // A scenario may fail before it comes to await this; that failure is the one to report.
  raced.catch(() => {});
  return raced;
}

/** The arguments of the next `event` of `emitter` (those for which `where` holds). */
export function event(emitter, name, { ms = PATIENCE, where = () => true } = {}) {
  let listener;
  const seen = new Promise((resolve) => {
    listener = (...args) => {
      if (where(...args)) {
        emitter.off(name, listener);
        resolve(args);
      }
    };
    emitter.on(name, listener);
  });
  return within(seen, `event "${name}"`, ms);
}

/** Things that arrive one after another, with a promise for the moment when enough of them have. */
export class Tally {
  constructor(what) {
    this.what = what;
    this.items = [];
    this.waiting = [];
  }

  add(item) {
    this.items.push(item);
    this.waiting = this.waiting.filter((check) => !check());
  }

  get length() {
    return this.items.length;
  }

  /** Resolves with all items once `count` of them have arrived. */
  reach(count, ms = PATIENCE) {
    return this.until((items) => items.length >= count && items, `${count} x ${this.what}`, ms);
  }

  /** Resolves with the first item for which `where` holds, whether it has arrived or is still to come. */
  find(where = () => true, ms = PATIENCE, what = this.what) {
    return this.until((items) => items.find(where), what, ms);
  }

  until(check, what, ms) {
    const met = new Promise((resolve) => {
      const settled = () => {
        const value = check(this.items);
        if (value) resolve(value);
        return Boolean(value);
      };
      if (!settled()) this.waiting.push(settled);
    });
    return within(met, what, ms).catch((error) => {
      throw new Error(`${error.message}; arrived so far: ${JSON.stringify(this.items).slice(0, 2_000)}`);
    });
  }
}

/** Every occurrence of `event` from now on, each as its list of arguments. */
export function collect(emitter, name) {
  const tally = new Tally(`event "${name}"`);
  emitter.on(name, (...args) => tally.add(args));
  return tally;
}
