import { join } from "node:path";
import { type AuthorityFault, AuthorityKeeper } from "../ca/authority-keeper.ts";
import type { Authority } from "../ca/authority.ts";
import { CacertsFollower } from "../ca/cacerts-follower.ts";
import { loadCacerts } from "../ca/cacerts.ts";
import { ExpiryWatch } from "../ca/expiry-watch.ts";
import { selfMadeRoot } from "../ca/self-made-root.ts";
import type { Config } from "../config.ts";
import { MeshError } from "../errors.ts";
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
  /** Why there is none yet. */
  waitingFor(): string | undefined;
  /** After `first`: calls `onChange` with each that takes its place. What it throws is logged, and tried again. */
  follow(onChange: (authority: Authority) => Promise<void>): void;
  problems(): readonly Problem[];
  /** Idempotent. */
  close(): Promise<void>;
}

/** The folder that `--cacerts` names. */
class FolderAuthority implements AuthoritySource {
  readonly #context: AuthorityContext;
  readonly #folder: string;
  #authority: Authority | undefined;
  #keeper: AuthorityKeeper | undefined;
  #follower: CacertsFollower | undefined;

  constructor(context: AuthorityContext, folder: string) {
    this.#context = context;
    this.#folder = folder;
  }

  async first(): Promise<Authority> {
    const { host, config } = this.#context;
    this.#authority = await loadCacerts(this.#folder, config.trustDomain, host.clock.now());
    if (this.#authority !== undefined) return this.#authority;
    throw new MeshError("absent", `${this.#folder} holds no ca-cert.pem and no tls.crt; put the authority there`);
  }

  waitingFor(): string | undefined {
    return this.#authority === undefined ? `${this.#folder} is not read yet` : undefined;
  }

  follow(onChange: (authority: Authority) => Promise<void>): void {
    const { host } = this.#context;
    this.#keeper = keeperOf(this.#context, this.#authority!, onChange);
    this.#follower = new CacertsFollower(host, this.#folder, this.#keeper);
    this.#follower.start();
  }

  problems(): readonly Problem[] {
    return problemsOf(`folder ${this.#folder}`, this.#keeper?.faults ?? []);
  }

  async close(): Promise<void> {
    await this.#follower?.close();
  }
}

/** A root of our own in the state folder, which never changes by itself. */
class StateFolderAuthority implements AuthoritySource {
  readonly #context: AuthorityContext;

  constructor(context: AuthorityContext) {
    this.#context = context;
  }

  first(): Promise<Authority> {
    const { host, config } = this.#context;
    return selfMadeRoot(host, join(config.stateDir, "ca"), config.trustDomain);
  }
  waitingFor(): undefined {}
  follow(): void {}
  problems(): readonly Problem[] {
    return [];
  }
  async close(): Promise<void> {}
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

export function localAuthority(context: AuthorityContext): AuthoritySource {
  const { cacertsDir } = context.config;
  return cacertsDir === undefined ? new StateFolderAuthority(context) : new FolderAuthority(context, cacertsDir);
}

export function keeperOf(
  { host, config, noteProblems }: AuthorityContext,
  authority: Authority,
  onChange: (authority: Authority) => Promise<void>,
): AuthorityKeeper {
  const { trustDomain, rootWaitMs, readsLists } = config;
  const options = { trustDomain, rootWaitMs, readsLists, authority, onChange, onFaults: noteProblems };
  return new AuthorityKeeper(host, options);
}

export const problemsOf = (object: string, faults: readonly AuthorityFault[]): readonly Problem[] =>
  faults.map((fault) => ({ object, origin: "", field: "", ...fault }));
