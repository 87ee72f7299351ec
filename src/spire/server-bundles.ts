import { messageOf } from "../errors.ts";
import type { Gauge, Host } from "../host.ts";
import type { SpireBundles } from "./bundles.ts";
import type { SpireServer } from "./spire.ts";

/** As often as SPIRE's own servers ask the ones above them (contract identity.md 1.3), at most; not all replicas at once. */
export const BUNDLES_EVERY_MS = 5_000;

export interface ServerBundlesOptions {
  /** False where our identity may not list them: whoever else knows says them. */
  readonly federated: boolean;
  /** Called after `troubles` may have changed. */
  readonly onTroubles: () => void;
}

/** Asks SPIRE's server for its bundles again and again; one answer is awaited before the next is asked for. */
export class ServerBundles {
  readonly #host: Host;
  readonly #server: Pick<SpireServer, "bundle" | "federatedBundles">;
  readonly #bundles: SpireBundles;
  readonly #options: ServerBundlesOptions;
  readonly #readAt: Gauge;
  #timer: Disposable | undefined;
  #reading: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #troubles: readonly string[] = [];
  #closed = false;

  constructor(
    host: Host,
    server: Pick<SpireServer, "bundle" | "federatedBundles">,
    bundles: SpireBundles,
    options: ServerBundlesOptions,
  ) {
    this.#host = host;
    this.#server = server;
    this.#bundles = bundles;
    this.#options = options;
    const help = "When SPIRE's server last said its own bundle, in Unix seconds.";
    this.#readAt = host.metrics.gauge("spire_bundle_read_timestamp_seconds", help);
  }

  /** Why what was asked for last could not be had; none if it could. */
  get troubles(): readonly string[] {
    return this.#troubles;
  }

  /** Resolves once the server has answered, or could not be asked. */
  start(): Promise<void> {
    return this.refresh();
  }

  /** Resolves once what the server knows now has been taken, or could not be had; callers of a moment share it. */
  refresh(): Promise<void> {
    if (this.#reading === undefined) return (this.#reading = this.#read());
    // What is under way may have been answered before there was what the caller looks for.
    return (this.#next ??= this.#reading.then(() => {
      this.#next = undefined;
      return this.refresh();
    }));
  }

  close(): void {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
  }

  async #read(): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    const troubles = [await this.#own(), ...(this.#options.federated ? [await this.#federated()] : [])];
    this.#reading = undefined;
    if (this.#closed) return;
    const { clock, random } = this.#host;
    this.#timer = clock.after(BUNDLES_EVERY_MS * (0.9 + 0.1 * random.next()), () => void this.refresh());
    this.#troubles = troubles.filter((trouble) => trouble !== undefined);
    this.#options.onTroubles();
  }

  async #own(): Promise<string | undefined> {
    try {
      const bundle = await this.#server.bundle();
      if (this.#closed) return undefined;
      this.#bundles.sayOwn(bundle);
      this.#readAt.set(Math.floor(this.#host.clock.now() / 1000));
      return undefined;
    } catch (thrown) {
      return messageOf(thrown);
    }
  }

  async #federated(): Promise<string | undefined> {
    try {
      const bundles = await this.#server.federatedBundles();
      if (!this.#closed) this.#bundles.sayFederated(bundles);
      return undefined;
    } catch (thrown) {
      return messageOf(thrown);
    }
  }
}
