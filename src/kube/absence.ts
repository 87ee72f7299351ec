/** Between two looks for a kind that seems to be absent. */
export const LOOK_AGAIN_MS = 5_000;
const DOUBT_MS = 300_000;

/** Whether an API server that says it does not serve a kind is believed. */
export class Absence {
  #sinceMs: number | undefined;
  #believed = false;

  get suspected(): boolean {
    return this.#sinceMs !== undefined;
  }
  get believed(): boolean {
    return this.#believed;
  }

  /**
   * The server has said so. It is believed if there is certainly no CRD; where we may not see CRDs, once it has said so
   * and nothing else for a while, which is the longer if objects would go.
   */
  suspect(nowMs: number, certain: boolean, objectsHeld: number): void {
    this.#sinceMs ??= nowMs;
    this.#believed ||= certain || nowMs - this.#sinceMs >= (objectsHeld > 0 ? DOUBT_MS : LOOK_AGAIN_MS);
  }

  /** The kind is served. */
  refute(): void {
    this.#sinceMs = undefined;
    this.#believed = false;
  }
}
