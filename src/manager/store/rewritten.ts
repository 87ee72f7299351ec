import { MeshError } from "../../errors.ts";
import type { TrustStore } from "./store.ts";

/** Replicas and commands write one document at the same time, but not this often. */
const ATTEMPTS_MAX = 8;

/**
 * Reads a document, and writes what `next` makes of it, again and again until nobody was faster.
 * @param next of the document, undefined if there is none; without `data` nothing is written.
 * @throws MeshError `unavailable`, `conflict` after eight attempts, and whatever `next` throws.
 */
export async function rewritten<T>(
  store: TrustStore,
  name: string,
  next: (data: ReadonlyMap<string, string> | undefined) => {
    readonly answer: T;
    readonly data?: ReadonlyMap<string, string>;
  },
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const found = await store.read(name);
    const { answer, data } = next(found?.data);
    if (data === undefined) return answer;
    try {
      await store.write(name, data, found?.version);
      return answer;
    } catch (thrown) {
      if (MeshError.from(thrown).code !== "conflict" || attempt === ATTEMPTS_MAX) throw thrown;
    }
  }
}
