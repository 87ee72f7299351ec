import { MeshError } from "../errors.ts";
import type { Host } from "../host.ts";
import type { AuthorityKeeper } from "./authority-keeper.ts";
import { type CacertsFiles, readCacerts } from "./cacerts.ts";

/** A kubelet takes a minute to bring a changed Secret; and four small files cost next to nothing to read. */
export const LOOK_MS = 7_000;

/** Follows the authority in a folder while we run. */
export class CacertsFollower {
  readonly #host: Host;
  readonly #folder: string;
  readonly #keeper: AuthorityKeeper;
  /** What was seen at the last look: files, or what is wrong with them. */
  #seen = "";
  #timer: Disposable | undefined;
  #looking: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(host: Host, folder: string, keeper: AuthorityKeeper) {
    this.#host = host;
    this.#folder = folder;
    this.#keeper = keeper;
  }

  start(): void {
    this.#timer = this.#host.clock.after(LOOK_MS, () => {
      this.#looking = this.reload().then(() => {
        if (!this.#closed) this.start();
      });
    });
  }

  /** Resolves when no look is under way any more, so that nothing changes afterwards. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
    await this.#looking;
  }

  /** Looks now. Acts on what has been the same for two looks, as files are written one by one. Never rejects. */
  async reload(): Promise<void> {
    const found = await this.#read();
    const state = found instanceof MeshError ? found.message : found.digest;
    const settled = state === this.#seen;
    this.#seen = state;
    if (settled) await this.#keeper.offer(found);
  }

  async #read(): Promise<CacertsFiles | MeshError> {
    try {
      return (
        (await readCacerts(this.#folder)) ?? new MeshError("absent", `${this.#folder} holds no authority any more`)
      );
    } catch (thrown) {
      return MeshError.from(thrown);
    }
  }
}
