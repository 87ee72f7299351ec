import { spreadLife } from "../ca/spread-life.ts";
import type { Host } from "../host.ts";
import type { MintedSvid, SpireEntry } from "./spire.ts";

/** An operator may start the server again with another default. */
const LEARNED_MS = 600_000;

/** An answer, and what it may not live longer than. */
export interface TimedSvid {
  readonly minted: MintedSvid;
  readonly secondsMax: number;
}

/**
 * How long SVIDs live is SPIRE's to say: an entry says it, or leaves it to the server, whose default no call tells but
 * one that asks for no time. That is asked for by one caller in ten minutes; the others get a little less by chance.
 */
export class SvidLife {
  readonly #host: Pick<Host, "clock" | "random">;
  #learned: { readonly seconds: number; readonly atMs: number } | undefined;
  #learning: Promise<unknown> | undefined;

  constructor(host: Pick<Host, "clock" | "random">) {
    this.#host = host;
  }

  /**
   * @param mint asks the server, 0 for its default.
   * @param secondsMax that whoever asks is to get; what lives longer is asked for once more.
   */
  async minted(
    entries: readonly SpireEntry[],
    secondsMax: number,
    mint: (ttlSeconds: number) => Promise<MintedSvid>,
  ): Promise<TimedSvid> {
    const given = entries.map(({ x509SvidTtlSeconds }) => x509SvidTtlSeconds);
    const limit = Math.min(
      secondsMax,
      ...given.filter((seconds) => seconds > 0).map((seconds) => this.#spread(seconds)),
    );
    if (given.every((seconds) => seconds > 0)) return { minted: await mint(limit), secondsMax: limit };
    // Whoever comes while the first asks would else ask for the same.
    if (this.#learned === undefined && this.#learning !== undefined) await this.#learning;
    const { seconds, atMs } = this.#learned ?? { seconds: undefined, atMs: 0 };
    const stale = this.#host.clock.elapsedMs() - atMs >= LEARNED_MS;
    if (seconds === undefined || (stale && this.#learning === undefined)) return this.#learn(limit, mint);
    const ttlSeconds = Math.min(limit, this.#spread(seconds));
    return { minted: await mint(ttlSeconds), secondsMax: ttlSeconds };
  }

  async #learn(limit: number, mint: (ttlSeconds: number) => Promise<MintedSvid>): Promise<TimedSvid> {
    const answer = mint(0);
    const learning = answer.then(
      () => {},
      () => {},
    );
    this.#learning ??= learning;
    try {
      const minted = await answer;
      const seconds = Math.round((minted.expiresAt - this.#host.clock.now()) / 1000);
      if (seconds > 0) this.#learned = { seconds, atMs: this.#host.clock.elapsedMs() };
      return { minted: seconds > limit ? await mint(limit) : minted, secondsMax: limit };
    } finally {
      if (this.#learning === learning) this.#learning = undefined;
    }
  }

  #spread(seconds: number): number {
    return Math.max(1, spreadLife(seconds, this.#host.random));
  }
}
