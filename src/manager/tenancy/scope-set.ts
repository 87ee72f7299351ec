import { byCodeUnit } from "../../registry/collection/collection.ts";
import type { RelayedScope } from "../../relay/messages.ts";
import { type Patterns, simplified } from "./patterns.ts";

/** Beside its characters: what a name, or a scope, is counted as. */
const OVERHEAD = 32;

/** Scopes that add up: those of the same services are one. */
export class ScopeSet {
  /** By their services. */
  readonly #scopes = new Map<string, { readonly services: Patterns | undefined; readonly namespaces: Set<string> }>();
  #size = 0;

  /** What it takes to say them: the characters of all patterns, and 32 for each of these and each scope. */
  get size(): number {
    return this.#size;
  }

  add({ namespaces, services }: RelayedScope): void {
    if (namespaces.length === 0 || services?.length === 0) return;
    const few = services === undefined ? undefined : simplified(services);
    const some = few?.includes("*") === true ? undefined : few;
    this.#add(JSON.stringify(some ?? null), some, namespaces);
  }

  addAll(others: ScopeSet): void {
    for (const [key, { services, namespaces }] of others.#scopes) this.#add(key, services, namespaces);
  }

  #add(key: string, services: Patterns | undefined, namespaces: Iterable<string>): void {
    let known = this.#scopes.get(key);
    if (known === undefined) {
      known = { services, namespaces: new Set() };
      this.#scopes.set(key, known);
      this.#size += OVERHEAD;
      for (const service of services ?? []) this.#size += service.length + OVERHEAD;
    }
    for (const namespace of namespaces) {
      if (!known.namespaces.has(namespace)) this.#size += namespace.length + OVERHEAD;
      known.namespaces.add(namespace);
    }
  }

  /** The same for the same content, in whatever order it came. */
  scopes(): readonly RelayedScope[] {
    return [...this.#scopes]
      .sort(([a], [b]) => byCodeUnit(a, b))
      .map(([, { services, namespaces }]) => ({ namespaces: simplified(namespaces), services }));
  }
}
