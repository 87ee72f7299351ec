import { MeshError, messageOf } from "../errors.ts";
import type { EpochMs, Host, Logger } from "../host.ts";
import type { Authority } from "./authority.ts";
import { authorityOf, type CacertsFiles, readCacerts } from "./cacerts.ts";
import { readCertificate } from "./certificate-fields.ts";

/** A kubelet takes a minute to bring a changed Secret; and four small files cost next to nothing to read. */
export const LOOK_MS = 7_000;

export interface CacertsFollowerOptions {
  readonly folder: string;
  readonly trustDomain: string;
  /** What was read from the folder at the start. */
  readonly authority: Authority;
  /** Called with each authority that takes the place of the last. What it throws is logged, and tried again. */
  readonly onChange: (authority: Authority) => Promise<void>;
}

/**
 * Follows the authority in a folder while we run. What cannot be used changes nothing and is logged once; so is a step
 * between roots that would part the mesh.
 */
export class CacertsFollower {
  readonly #host: Host;
  readonly #options: CacertsFollowerOptions;
  readonly #log: Logger;
  #authority: Authority;
  /** What was seen at the last look: files, or what is wrong with them. */
  #seen = "";
  #adopted: string | undefined;
  #complaint = "";
  #timer: Disposable | undefined;
  #looking: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(host: Host, options: CacertsFollowerOptions) {
    this.#host = host;
    this.#options = options;
    this.#log = host.log.scope("ca");
    this.#authority = options.authority;
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
    if (state === this.#adopted) this.#complaint = "";
    else if (settled) await this.#judge(found, state);
  }

  async #read(): Promise<CacertsFiles | MeshError> {
    const { folder } = this.#options;
    try {
      return (await readCacerts(folder)) ?? new MeshError("absent", `${folder} holds no authority any more`);
    } catch (thrown) {
      return MeshError.from(thrown);
    }
  }

  async #judge(found: CacertsFiles | MeshError, state: string): Promise<void> {
    try {
      if (found instanceof MeshError) throw found;
      await this.#adopt(authorityOf(found, this.#options.trustDomain, this.#host.clock.now()));
      this.#adopted = state;
      this.#complaint = "";
    } catch (thrown) {
      const why = messageOf(thrown);
      if (why === this.#complaint) return;
      this.#complaint = why;
      this.#log.error("cacerts changed and cannot be used; what was there before still signs", { why });
    }
  }

  async #adopt(authority: Authority): Promise<void> {
    checkStep(this.#authority, authority, this.#host.clock.now());
    if (sameAuthority(this.#authority, authority)) return;
    await this.#options.onChange(authority);
    this.#authority = authority;
    const until = new Date(authority.notAfter).toISOString();
    this.#log.info("cacerts changed, and what is there now signs", { until, roots: authority.roots.length });
  }
}

/**
 * Workloads learn of roots with their next certificate, so one set must hold the other (contract ztunnel.md 4.7). Roots
 * that have ended keep nobody together, and do not count.
 * @throws MeshError `conflict` if neither does.
 */
function checkStep({ roots: before }: Authority, { roots: after }: Authority, now: EpochMs): void {
  const holds = (outer: readonly Uint8Array[], inner: readonly Uint8Array[]): boolean =>
    inner.every((root) => outer.some((other) => Buffer.from(other).equals(root)));
  const alive = before.filter((root) => readCertificate(root).notAfter > now);
  if (holds(after, alive) || holds(alive, after)) return;
  throw new MeshError(
    "conflict",
    "its roots replace those of before at once, and workloads would refuse each other; put the new root beside the old, " +
      "wait until every certificate was renewed, then change the signing certificate, and remove the old root last",
  );
}

function sameAuthority(before: Authority, after: Authority): boolean {
  const same = (one: readonly Uint8Array[], other: readonly Uint8Array[]): boolean =>
    one.length === other.length && one.every((bytes, at) => Buffer.from(bytes).equals(other[at]!));
  return (
    same(before.chain, after.chain) && same(before.roots, after.roots) && before.privateKey.equals(after.privateKey)
  );
}
