import type { ObjectKey } from "../../names.ts";
import type { Source } from "../collection/source.ts";

type AnySource = Source<ObjectKey, unknown>;

/** Objects of a cluster that is not in the mesh yet, by where they are to go. */
export class HeldObjects {
  readonly #held = new Map<AnySource, Map<ObjectKey, unknown>>();

  /** `undefined` takes it out. */
  write(source: AnySource, key: ObjectKey, value: unknown): void {
    let values = this.#held.get(source);
    if (values === undefined) this.#held.set(source, (values = new Map()));
    if (value === undefined) values.delete(key);
    else values.set(key, value);
  }

  /** Makes what is held exactly what lies under `prefix` in every one of `sources`. */
  release(prefix: string, sources: Iterable<AnySource>): void {
    for (const source of sources) source.replace(prefix, this.#held.get(source) ?? []);
    this.#held.clear();
  }
}
