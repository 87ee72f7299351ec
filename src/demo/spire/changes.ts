/** Tells whoever listens that something changed; what, they look up themselves. */
export class Changes {
  readonly #listeners = new Set<() => void>();

  observe(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  happened(): void {
    for (const listener of this.#listeners) listener();
  }
}
