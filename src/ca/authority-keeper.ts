import { MeshError, messageOf } from "../errors.ts";
import type { Counter, EpochMs, Gauge, Host, Logger } from "../host.ts";
import type { Authority } from "./authority.ts";
import { AuthoritySteps } from "./authority-steps.ts";
import type { AuthorityUse } from "./authority-use.ts";
import { type RootMemory, shapeOf } from "./remembered-roots.ts";
import { authorityOf, type CacertsFiles, withoutLists } from "./cacerts.ts";

export interface AuthorityKeeperOptions {
  readonly trustDomain: string;
  /** What was there at the start. */
  readonly authority: Authority;
  /** How long a new root is published before what it issued signs, and an old one after. */
  readonly rootWaitMs: number;
  /** What is known of roots beyond this process; undefined if nothing outlives it. */
  readonly memory?: RootMemory;
  /** False: revocation lists are not read. */
  readonly readsLists?: boolean;
  /** Called with each authority that takes the place of the last. What it throws is logged, and tried again. */
  readonly onChange: (authority: Authority) => Promise<void>;
  /** Called after `faults` may have changed. */
  readonly onFaults?: () => void;
}

/** Something that operators should know of an authority that is in use. */
export interface AuthorityFault {
  readonly severity: "error" | "warning";
  readonly message: string;
}

/**
 * Decides what becomes of each authority that is found while another is in use. What cannot be used changes nothing and
 * is logged once; so is a step between roots that would part the mesh.
 */
export class AuthorityKeeper {
  readonly #host: Host;
  readonly #options: AuthorityKeeperOptions;
  readonly #log: Logger;
  readonly #refusals: Counter;
  readonly #unusable: Gauge;
  readonly #steps: AuthoritySteps;
  #authority: Authority;
  #adopted: string | undefined;
  #complaint = "";
  /** Of what was last remembered. */
  #shape = "";
  #waits: readonly string[] = [];
  #turn: Promise<void> = Promise.resolve();

  constructor(host: Host, options: AuthorityKeeperOptions) {
    this.#host = host;
    this.#options = options;
    this.#log = host.log.scope("ca");
    this.#refusals = refusalsOf(host);
    this.#unusable = host.metrics.gauge("cacerts_unusable", "1 while what was found last cannot be used, else 0.");
    this.#unusable.set(0);
    this.#authority = options.authority;
    this.#steps = stepsFrom(options, host.clock.now(), host.clock.elapsedMs());
    this.#remember();
  }

  /** The digest of what was last allowed; undefined until something was offered. */
  get adopted(): string | undefined {
    return this.#adopted;
  }

  /** Why what was found last is not in use, or not all of it. */
  get faults(): readonly AuthorityFault[] {
    const refused = { severity: "error", message: `${this.#complaint}. What was there before still signs.` } as const;
    const waits = this.#waits.map((message) => ({ severity: "warning", message: `${message}.` }) as const);
    return [...(this.#complaint === "" ? [] : [refused]), ...waits];
  }

  get use(): AuthorityUse {
    const refusals = this.#complaint === "" ? [] : [this.#complaint];
    return { authority: this.#authority, adopted: this.#steps.wanted, waits: this.#waits, refusals };
  }

  /** To be told at every look, of the same again, too: what waits may be due. Never rejects. */
  offer(found: CacertsFiles | MeshError): Promise<void> {
    return (this.#turn = this.#turn.then(async () => {
      const before = JSON.stringify(this.faults);
      await this.#judge(found);
      if (JSON.stringify(this.faults) !== before) this.#options.onFaults?.();
    }));
  }

  /** Resolves when nothing is being changed any more. */
  settled(): Promise<void> {
    return this.#turn;
  }

  async #judge(found: CacertsFiles | MeshError): Promise<void> {
    if (!(found instanceof MeshError) && found.digest === this.#adopted && this.faults.length === 0) return;
    const refused = this.#whyNot(found);
    // Whatever was found now, what was allowed before may be due.
    const failed = await this.#advance().then(() => "", messageOf);
    const why = refused || failed;
    if (why !== "" && why !== this.#complaint) {
      this.#refusals.add();
      this.#log.error("cacerts changed and cannot be used; what was there before still signs", { why });
    }
    this.#complaint = why;
    this.#unusable.set(why === "" ? 0 : 1);
  }

  /** Empty if it is allowed. */
  #whyNot(found: CacertsFiles | MeshError): string {
    const now = this.#host.clock.now();
    try {
      if (found instanceof MeshError) throw found;
      if (found.digest !== this.#adopted) this.#steps.offer(this.#authorityIn(found, now), now);
      this.#adopted = found.digest;
      return "";
    } catch (thrown) {
      return messageOf(thrown);
    }
  }

  #remember(): void {
    const { memory } = this.#options;
    if (memory === undefined) return;
    const { clock } = this.#host;
    const roots = this.#steps.remembered(clock.now(), clock.elapsedMs());
    if (shapeOf(roots) === this.#shape) return;
    this.#shape = shapeOf(roots);
    memory.remember(roots);
  }

  #authorityIn(files: CacertsFiles, now: EpochMs): Authority {
    const { trustDomain, readsLists = true } = this.#options;
    return authorityOf(readsLists ? files : withoutLists(files), trustDomain, now);
  }

  async #advance(): Promise<void> {
    const { clock } = this.#host;
    const { authority, waits } = this.#steps.stage(clock.now(), clock.elapsedMs());
    for (const wait of waits) if (!this.#waits.includes(wait)) this.#log.warn(wait);
    this.#waits = waits;
    this.#remember();
    if (sameAuthority(this.#authority, authority)) return;
    await this.#options.onChange(authority);
    this.#authority = authority;
    const until = new Date(authority.notAfter).toISOString();
    const { roots, revocations } = authority;
    const counts = { roots: roots.length, lists: revocations.length || undefined };
    this.#log.info("cacerts changed, and what is there now signs", { until, ...counts });
  }
}

/** What to begin with: what was found first, and what is remembered of roots. */
type Beginning = Pick<AuthorityKeeperOptions, "authority" | "rootWaitMs" | "memory">;

function stepsFrom({ authority, rootWaitMs, memory }: Beginning, now: EpochMs, elapsed: number): AuthoritySteps {
  const roots = memory?.remembered;
  return new AuthoritySteps(authority, rootWaitMs, roots && { roots, now, elapsed });
}

/**
 * The first authority as it may be used: with the roots, too, that were taken out lately. That it was seen is remembered,
 * so that a wait ends though it is begun again and again.
 * @throws MeshError `conflict` if workloads do not know its root yet.
 */
export function firstStage({ clock }: Host, beginning: Beginning): Authority {
  const [now, elapsed] = [clock.now(), clock.elapsedMs()];
  const steps = stepsFrom(beginning, now, elapsed);
  const why = steps.whyNotYet(now, elapsed);
  if (why === undefined) return steps.stage(now, elapsed).authority;
  beginning.memory?.remember(steps.remembered(now, elapsed));
  throw new MeshError("conflict", why);
}

/** Authorities that were found and not taken, each reason once: at the start, and while another is in use. */
export const refusalsOf = ({ metrics }: Host): Counter =>
  metrics.counter("cacerts_refused_total", "Authorities that were found and cannot be used.");

const listsOf = ({ revocations }: Authority): readonly Uint8Array[] => revocations.map(({ der }) => der);

function sameAuthority(before: Authority, after: Authority): boolean {
  const same = (one: readonly Uint8Array[], other: readonly Uint8Array[]): boolean =>
    one.length === other.length && one.every((bytes, at) => Buffer.from(bytes).equals(other[at]!));
  return (
    same(before.chain, after.chain) &&
    same(before.roots, after.roots) &&
    same(listsOf(before), listsOf(after)) &&
    before.privateKey.equals(after.privateKey)
  );
}
