import { type AuthorityFault, AuthorityKeeper } from "../ca/authority-keeper.ts";
import type { Authority } from "../ca/authority.ts";
import type { AuthorityUse } from "../ca/authority-use.ts";
import type { RootMemory } from "../ca/remembered-roots.ts";
import { ExpiryWatch } from "../ca/expiry-watch.ts";
import type { Config } from "../config.ts";
import type { Host } from "../host.ts";
import type { Problem } from "../registry/model/problem.ts";

export interface AuthorityContext {
  readonly host: Host;
  readonly config: Config;
  /** To be called after `problems` may have changed. */
  readonly noteProblems: () => void;
}

/** Where our authority comes from: a folder, a Secret, or ourselves. */
export interface AuthoritySource {
  /**
   * The first that can be used: waited for as long as it takes, where somebody can still mend it.
   * @throws MeshError if it cannot be used and nothing is waited for, or if `signal` ends that.
   */
  first(signal: AbortSignal): Promise<Authority>;
  /** What becomes of what is there; undefined until one is in use. */
  use(): AuthorityUse | undefined;
  /** Somebody has written where it comes from: resolves once that was looked at. */
  look(): Promise<void>;
  /** Why there is none yet. */
  waitingFor(): string | undefined;
  /** After `first`: calls `onChange` with each that takes its place. What it throws is logged, and tried again. */
  follow(onChange: (authority: Authority) => Promise<void>): void;
  problems(): readonly Problem[];
  /** Idempotent. */
  close(): Promise<void>;
}

/** Any of them, with an eye on when it ends. */
export class WatchedAuthority implements AuthoritySource {
  readonly #source: AuthoritySource;
  readonly #expiry: ExpiryWatch;

  constructor(source: AuthoritySource, { host, noteProblems }: AuthorityContext) {
    this.#source = source;
    this.#expiry = new ExpiryWatch(host, noteProblems);
  }

  async first(signal: AbortSignal): Promise<Authority> {
    const authority = await this.#source.first(signal);
    this.#expiry.note(authority);
    return authority;
  }

  use(): AuthorityUse | undefined {
    return this.#source.use();
  }

  look(): Promise<void> {
    return this.#source.look();
  }

  waitingFor(): string | undefined {
    return this.#source.waitingFor();
  }

  follow(onChange: (authority: Authority) => Promise<void>): void {
    this.#source.follow(async (authority) => {
      await onChange(authority);
      this.#expiry.note(authority);
    });
  }

  problems(): readonly Problem[] {
    return [...this.#source.problems(), ...problemsOf("the authority", this.#expiry.faults)];
  }

  async close(): Promise<void> {
    await this.#source.close();
    this.#expiry.close();
  }
}

export function keeperOf(
  { host, config, noteProblems }: AuthorityContext,
  authority: Authority,
  memory: RootMemory,
  onChange: (authority: Authority) => Promise<void>,
): AuthorityKeeper {
  const { trustDomain, rootWaitMs, readsLists } = config;
  const options = { trustDomain, rootWaitMs, readsLists, authority, memory, onChange, onFaults: noteProblems };
  return new AuthorityKeeper(host, options);
}

export const problemsOf = (object: string, faults: readonly AuthorityFault[]): readonly Problem[] =>
  faults.map((fault) => ({ object, origin: "", field: "", ...fault }));
